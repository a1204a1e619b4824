from __future__ import annotations

import numpy as np

from harness.mil.program import Block, Description, Function, Literal, NamedType, Operation, ValueRef
from harness.mil.types import StateType, TensorType

FP16 = TensorType("fp16", (2,))


def _operation(kind, *blocks):
    return Operation(kind, f"{kind}_op", {"x": ValueRef("x")}, (NamedType(f"{kind}_0", FP16),), tuple(blocks))


def _function(*operations, opset="CoreML8"):
    return Function(
        "main", opset, (NamedType("x", FP16), NamedType("s", StateType(FP16))), Block((), (), operations), Description()
    )


def test_counts_include_nested_blocks():
    inner = Block((), (), (_operation("relu"), _operation("add")))
    function = _function(_operation("relu"), _operation("cond", inner, Block((), (), ())))
    assert function.op_counts() == {"add": 1, "cond": 1, "relu": 2}


def test_opset_versions():
    assert _function(opset="CoreML5").opset_version == 5
    assert _function(opset="ModelSpecific").opset_version == 0


def test_an_operation_without_outputs_is_called_by_its_name():
    assert Operation("write_state", "w", {}, ()).label == "w"
    assert _operation("relu").label == "relu_0"


def test_large_constants_print_short():
    assert repr(Literal(np.zeros(1000), TensorType("fp32", (1000,)))) == "Literal(fp32[1000])"
