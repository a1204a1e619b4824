from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from harness.lowering.program import (
    Delegate,
    DelegateCall,
    EagerCall,
    GetItem,
    Input,
    LoweredProgram,
    Reference,
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
        EagerCall("aten.asinh.default", (Value(2),), {}, Value(3)),
        EagerCall("operator.add", (1, 2), {}, Value(4)),
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


# --- several methods: the delegate refers to a package they share --------------------------------------------


def reference(**content: object) -> bytes:
    return b"CMJR" + json.dumps({"version": 1, "key": "coreml_x", "functionName": "decode", **content}).encode()


def test_a_package_of_its_own_is_no_reference() -> None:
    assert Reference.parse(b"{}") is None
    assert Delegate(b"{}", (), (), {}).function == ""


def test_a_reference_names_the_data_and_the_function() -> None:
    assert Reference.parse(reference()) == Reference("coreml_x", "decode")
    assert Delegate(reference(), (), (), {}).function == "decode"


@pytest.mark.parametrize(
    ("processed", "message"),
    [
        (b"CMJR", "cannot be read"),
        (b"CMJR[]", "cannot be read"),
        (b'CMJR{"version": 1, "key": "k"}', "cannot be read: KeyError: 'functionName'"),
        (reference(version=2), "of version 2, known is 1"),
        (reference(key=""), "names no data or no function"),
        (reference(functionName=3), "names no data or no function"),
    ],
)
def test_a_reference_that_cannot_be_followed_is_refused(processed: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Reference.parse(processed)


def test_data_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="data named coreml_x, which the program does not hold"):
        Delegate(reference(), (), (), {}).unpack(tmp_path)


def test_state_is_a_buffer_written_inside_or_outside_of_delegates() -> None:
    assert not program().stateful
    assert replace(program(), mutations=((Value(0), Value(3)),)).stateful
    assert replace(program(), delegates=(Delegate(b"", (SPEC,), (SPEC,), {}, buffers=("cache",)),)).stateful
