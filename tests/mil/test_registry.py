from __future__ import annotations

import inspect

import pytest
from coremltools.converters.mil.mil.ops.registry import SSAOpRegistry

from harness.mil.kernels import KERNELS
from harness.mil.registry import available

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
    assert inspect.getdoc(KERNELS[name].function)


def test_available_lists_them():
    assert available() == sorted(KERNELS)
    assert "conv" in available()
