from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch

from harness.lowering.program import (
    Call,
    Delegate,
    DelegateCall,
    GetItem,
    Input,
    LoweredProgram,
    TensorSpec,
    Value,
    replace_values,
    values_in,
)

SPEC = TensorSpec("float32", (2,))


def program() -> LoweredProgram:
    delegate = Delegate(b"", (SPEC,), (SPEC,), {"aten.add.Tensor": 2, "aten.mul.Tensor": 1})
    steps = (
        DelegateCall(0, (Value(0),), Value(1)),
        GetItem(Value(1), 0, Value(2)),
        Call("aten.asinh.default", (Value(2),), {}, Value(3)),
        Call("operator.add", (1, 2), {}, Value(4)),
        DelegateCall(0, (Value(3),), Value(5)),
    )
    return LoweredProgram((Input("x", Value(0), SPEC, "user"),), steps, (Value(5),), (delegate,))


def test_counts_are_of_nodes_run() -> None:
    assert program().delegated_ops == {"aten.add.Tensor": 4, "aten.mul.Tensor": 2}
    assert program().fallback_ops == {"aten.asinh.default": 1}


def test_references_are_found_and_replaced_however_nested() -> None:
    argument = (Value(1), [Value(2), 3, None], {"k": Value(1), "s": "text"}, slice(None))
    assert list(values_in(argument)) == [Value(1), Value(2), Value(1)]
    replaced = replace_values(argument, {1: "one", 2: "two"})
    assert replaced == ("one", ["two", 3, None], {"k": "one", "s": "text"}, slice(None))


def test_a_program_survives_pickling() -> None:
    assert pickle.loads(pickle.dumps(program())) == program()


def test_a_delegate_unpacks_to_a_package_and_its_names(program_of, tmp_path: Path) -> None:
    class Subtract(torch.nn.Module):
        def forward(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
            return first - second

    (delegate,) = program_of(Subtract(), torch.ones(2), torch.ones(2)).delegates
    unpacked = delegate.unpack(tmp_path)
    assert unpacked.input_names == ("first", "second")
    assert len(unpacked.output_names) == 1
    assert (unpacked.package / "Data" / "com.apple.CoreML" / "model.mlmodel").is_file()
    assert unpacked.debug_info


def test_bytes_that_are_no_package_are_refused(tmp_path: Path) -> None:
    with pytest.raises((ValueError, RuntimeError)):
        Delegate(b"no package", (), (), {}).unpack(tmp_path)
