"""`opsets.txt` is what the installed coremltools registers, and tells what an opset does not have."""

from __future__ import annotations

import pytest

from harness.mil import opsets


def test_the_table_is_that_of_the_installed_coremltools() -> None:
    ct = pytest.importorskip("coremltools")
    from coremltools.converters.mil.mil.ops.registry import SSAOpRegistry

    lowest = int(ct.target.iOS15)
    registry = {
        name: {
            int(target) - 1: frozenset(kind.input_spec.input_types)
            for target, kind in versions.items()
            if int(target) >= lowest
        }
        for name, versions in SSAOpRegistry.core_ops.items()
    }
    assert opsets.PATH.read_text(encoding="utf-8") == opsets.written(registry, ct.__version__)


@pytest.mark.parametrize(
    ("opset", "operator", "parameters", "newer"),
    [
        (5, "relu", {"x"}, ""),
        (7, "read_state", {"input"}, "read_state"),
        (8, "read_state", {"input"}, ""),
        (6, "gather", {"x", "indices", "axis", "batch_dims", "validate_indices"}, "gather(validate_indices)"),
        (9, "gather", {"x", "indices", "axis", "batch_dims", "validate_indices"}, ""),
        (5, "of_another_release", {"x"}, ""),
    ],
)
def test_what_an_opset_does_not_have(opset: int, operator: str, parameters: set[str], newer: str) -> None:
    assert opsets.newer_than(opset, operator, frozenset(parameters)) == newer
