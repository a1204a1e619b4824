from __future__ import annotations

import inspect
import re

import pytest
from coremltools.converters.mil.mil.ops.registry import SSAOpRegistry

from harness.mil.kernels import KERNELS
from harness.mil.registry import available, documentation

# What a program file holds in another form: constants are values of the parsed program.
NOT_OPERATIONS = {"const", "_const_symbolic"}


def test_every_operator_coremltools_defines_has_a_kernel():
    assert set(SSAOpRegistry.core_ops) - NOT_OPERATIONS - set(KERNELS) == set()


@pytest.mark.parametrize("name", sorted(set(SSAOpRegistry.core_ops) - NOT_OPERATIONS))
def test_every_parameter_of_every_opset_is_taken(name):
    for opset, definition in SSAOpRegistry.core_ops[name].items():
        wanted = {p for p in definition.input_spec.input_types if not p.startswith("_")}
        assert wanted <= KERNELS[name].parameters, opset


@pytest.mark.parametrize("name", sorted(KERNELS))
def test_every_kernel_is_documented(name):
    """Its own words, and with those of its family the types it takes and the source."""
    assert inspect.getdoc(KERNELS[name].function)
    text = documentation(name)
    assert text.startswith(f"{name}(")
    assert all(parameter in text for parameter in KERNELS[name].order)
    assert re.search(r"fp16|fp32|int32|bool|any (data )?type", text, re.IGNORECASE)
    assert re.search(r"coremltools' documentation of\s+`iOS1", text)


def test_documentation_shows_parameters_and_family():
    text = documentation("leaky_relu").split("\n\n")
    assert text[0] == "leaky_relu(x: Array, alpha: float = 0.01)"
    assert text[1] == "x where x >= 0, else alpha * x."
    assert text[2].startswith("Family activation: Activations: elementwise")
    with pytest.raises(KeyError):
        documentation("levitate")


def test_available_lists_them():
    assert available() == sorted(KERNELS)
    assert "conv" in available()
