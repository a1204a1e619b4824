from __future__ import annotations

import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from coremltools.converters.mil import Builder as mb

from harness.mil import InputError, InvalidProgram, KernelError, MissingKernel, Model, load, protobuf
from harness.mil.kernels import KERNELS

HALF = np.float16([[1, 2, 3], [4, 5, 6]])


@pytest.fixture(scope="module")
def softmax(bench):
    return bench.package(lambda x: mb.softmax(x=mb.mul(x=x, y=np.float16(2)), axis=-1), {"x": HALF})


def edited(path: str, tmp_path: Path, change) -> Model:
    """The model after `change(block)` on the protobuf of its main function."""
    source = next(Path(path).rglob("*.mlmodel"))
    message = protobuf.module("Model_pb2").Model()
    message.ParseFromString(source.read_bytes())
    (block,) = message.mlProgram.functions["main"].block_specializations.values()
    change(block)
    target = tmp_path / "edited.mlmodel"
    target.write_bytes(message.SerializeToString())
    return load(target)


def operation(block, kind):
    return next(op for op in block.operations if op.type == kind)


def test_a_wrong_declared_shape_is_caught(softmax, tmp_path):
    def change(block):
        operation(block, "mul").outputs[0].type.tensorType.dimensions[1].constant.size = 4

    with pytest.raises(InvalidProgram, match=r"mul -> .*declared fp16\[2, 4\], computed fp16\[2, 3\]"):
        edited(softmax, tmp_path, change)({"x": HALF})


def test_a_wrong_declared_type_is_caught(softmax, tmp_path):
    def change(block):
        operation(block, "mul").outputs[0].type.tensorType.dataType = 11

    with pytest.raises(InvalidProgram, match=r"declared fp32\[2, 3\], computed fp16"):
        edited(softmax, tmp_path, change)({"x": HALF})


def test_an_unknown_dimension_accepts_any_size(softmax, tmp_path):
    def change(block):
        operation(block, "mul").outputs[0].type.tensorType.dimensions[1].unknown.variadic = False

    assert edited(softmax, tmp_path, change)({"x": HALF})


def test_an_undefined_value_is_caught(softmax, tmp_path):
    def change(block):
        operation(block, "softmax").inputs["x"].arguments[0].name = "ghost"

    with pytest.raises(InvalidProgram, match=r"softmax -> .*'ghost'"):
        edited(softmax, tmp_path, change)({"x": HALF})


def test_an_undefined_output_is_caught(softmax, tmp_path):
    def change(block):
        block.outputs[0] = "ghost"

    with pytest.raises(InvalidProgram, match="ghost"):
        edited(softmax, tmp_path, change)({"x": HALF})


def test_an_unknown_parameter_is_caught(softmax, tmp_path):
    def change(block):
        operation(block, "softmax").inputs["colour"].CopyFrom(operation(block, "softmax").inputs["axis"])

    with pytest.raises(InvalidProgram, match="no parameter colour"):
        edited(softmax, tmp_path, change)({"x": HALF})


def test_a_missing_parameter_is_caught(softmax, tmp_path):
    def change(block):
        del operation(block, "mul").inputs["y"]

    with pytest.raises(InvalidProgram, match="y is missing"):
        edited(softmax, tmp_path, change)({"x": HALF})


def test_operands_of_different_types_are_caught(bench, tmp_path):
    path = bench.package(lambda x, y: mb.add(x=mb.cast(x=x, dtype="fp32"), y=y), {"x": HALF, "y": np.float32(HALF)})

    def change(block):
        add = operation(block, "add")
        side = "x" if add.inputs["x"].arguments[0].name != "y" else "y"
        add.inputs[side].arguments[0].name = "x"

    with pytest.raises(InvalidProgram, match="data types differ"):
        edited(path, tmp_path, change)({"x": HALF, "y": np.float32(HALF)})


def test_missing_kernels_are_named_before_anything_runs(softmax, monkeypatch):
    monkeypatch.delitem(KERNELS, "softmax")
    model = load(softmax)
    assert model.missing_kernels() == ["softmax"]
    with pytest.raises(MissingKernel, match="no kernel for softmax") as caught:
        model({"x": HALF})
    assert caught.value.op_types == ["softmax"]
    assert "mul" in caught.value.available


def test_a_kernel_that_raises_is_named(softmax, monkeypatch):
    def broken(context, x, axis=-1):
        raise ZeroDivisionError("planted")

    monkeypatch.setitem(KERNELS, "softmax", replace(KERNELS["softmax"], function=broken))
    with pytest.raises(KernelError, match=r"softmax -> .*ZeroDivisionError: planted"):
        load(softmax)({"x": HALF})


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "missing 'x'"),
        ({"x": HALF, "z": HALF}, "unknown 'z'"),
        ({"x": HALF[0]}, r"shape \[3\], declared fp16\[2, 3\]"),
        ({"x": HALF.astype(np.complex64)}, "complex64"),
        ({"x": np.array([["a"] * 3] * 2)}, "input 'x'"),
    ],
)
def test_inputs_that_do_not_fit(softmax, inputs, message):
    with pytest.raises(InputError, match=message):
        load(softmax)(inputs)


def test_integer_inputs_convert_by_value_or_not_at_all(bench):
    model = bench.model(lambda x: mb.add(x=x, y=np.int32(1)), {"x": np.int32([1, 2])})
    assert next(iter(model({"x": np.array([5, 6], np.int64)}).values())).tolist() == [6, 7]
    assert next(iter(model({"x": np.array([5.0, 6.0])}).values())).tolist() == [6, 7]
    for bad in (np.array([2**31, 0]), np.array([0.5, 1]), np.array([np.nan, 1])):
        with pytest.raises(InputError, match="input 'x'"):
            model({"x": bad})


def test_unknown_mode_and_function(softmax):
    model = load(softmax)
    with pytest.raises(InputError, match="wide, exact, strict"):
        model({"x": HALF}, mode="fast")
    with pytest.raises(InputError, match="no function 'other'"):
        model({"x": HALF}, function="other")


def test_modes_differ_as_they_say(bench):
    """1024 + 1024 x 0.5: an fp16 accumulator stops at 1024, where its spacing is 1; a wider one does not."""
    x = np.full((1, 1025), 0.25, np.float16)
    x[0, 0] = 1024
    model = bench.model(lambda x: mb.reduce_sum(x=x, axes=[1]), {"x": x})
    values = {m: next(iter(model({"x": x}, mode=m).values())).item() for m in ("wide", "exact", "strict")}
    assert values == {"wide": 1280.0, "exact": 1280.0, "strict": 1024.0}


def test_wide_rounds_after_each_operation_and_exact_never(bench):
    x = np.float16([1, 2])
    model = bench.model(lambda x: mb.sub(x=mb.add(x=x, y=np.float16(2**-11)), y=x), {"x": x})
    assert next(iter(model({"x": x}).values())).tolist() == [0, 0]
    assert next(iter(model({"x": x}, mode="exact").values())).tolist() == [2**-11, 2**-11]


def test_the_first_non_finite_value_is_reported(bench):
    x = np.float16([300, 1])

    def build(x):
        return mb.sub(x=mb.square(x=mb.mul(x=x, y=np.float16(1))), y=mb.square(x=x))

    model = bench.model(build, {"x": x})
    (first,) = model.run({"x": x}).diagnostics
    assert (first.kind, first.op_type) == ("non_finite", "square")
    assert "1 infinite of 2" in first.detail
    assert not model.run({"x": np.float16([3, 1])}).diagnostics
    assert not model.run({"x": x}, mode="exact").diagnostics


def test_non_finite_inputs_are_no_finding(bench):
    model = bench.model(lambda x: mb.mul(x=x, y=np.float16(2)), {"x": HALF})
    assert not model.run({"x": np.full_like(HALF, np.inf)}).diagnostics


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_any_non_finite_value_is_seen(bench, dtype, value):
    """`exp2` of a large number or 0 / 0 make them; the largest finite value of the type is none of them."""
    x = {np.inf: [30000, 1], -np.inf: [-30000, 1], np.nan: [0, 1]}[value]
    y = {np.inf: [1e-6, 1], -np.inf: [1e-6, 1], np.nan: [0, 1]}[value]
    scale = dtype(1) if dtype == np.float16 else dtype(1e33)
    x, y = dtype(x) * scale, dtype(y)
    result = bench.run(lambda x, y: mb.real_div(x=x, y=y), {"x": x, "y": y})
    assert [d.kind for d in result.diagnostics] == ["non_finite"]
    largest = np.array([np.finfo(dtype).max, -np.finfo(dtype).max])
    assert not bench.run(lambda x: mb.mul(x=x, y=dtype(1)), {"x": largest}).diagnostics


def test_outputs_are_the_callers(bench):
    model = bench.model(lambda x: mb.identity(x=x), {"x": HALF})
    output = next(iter(model({"x": HALF}).values()))
    output[...] = 0
    assert HALF[0, 0] == 1


def test_the_observer_sees_every_operation_in_order(softmax):
    seen = []
    load(softmax).run({"x": HALF}, observer=lambda op, results: seen.append((op.type, results[0].shape)))
    assert seen == [("mul", (2, 3)), ("softmax", (2, 3))]


def test_dead_values_are_dropped(bench):
    """A chain of operations never holds more than the value being read and the one being made."""

    def build(x):
        for _ in range(12):
            x = mb.add(x=x, y=np.float32(1))
        return x

    x = np.ones(977, np.float32)
    made: list[weakref.ref] = []
    alive = []

    def observe(operation, results):
        made.append(weakref.ref(results[0]))
        alive.append(sum(value() is not None for value in made))

    bench.model(build, {"x": x}).run({"x": x}, observer=observe)
    assert len(alive) == 12
    assert max(alive) <= 2


FAULTS = {
    "swapped operands": ("sub", lambda old: lambda c, x, y: old(c, y, x), lambda x: mb.sub(x=x, y=np.float32(2))),
    "wrong axis": (
        "softmax",
        lambda old: lambda c, x, axis=-1: old(c, x, 0),
        lambda x: mb.softmax(x=x, axis=-1),
    ),
    "off by one": (
        "slice_by_index",
        lambda old: (
            lambda c, x, begin, end, **k: old(c, x, tuple(b + 1 for b in begin), tuple(e + 1 for e in end), **k)
        ),
        lambda x: mb.slice_by_index(x=x, begin=[0, 0], end=[1, 2]),
    ),
    "wrong sign": ("floor", lambda old: lambda c, x: np.trunc(x), lambda x: mb.floor(x=mb.sub(x=x, y=np.float32(2.5)))),
    "lost bias": (
        "linear",
        lambda old: lambda c, x, weight, bias=None: old(c, x, weight),
        lambda x: mb.linear(x=x, weight=np.ones((2, 3), np.float32), bias=np.float32([1, 2])),
    ),
    "sample variance": (
        "layer_norm",
        lambda old: lambda c, x, **k: old(c, x, **k) * np.float32(np.sqrt(2 / 3)),
        lambda x: mb.layer_norm(x=x, axes=[-1]),
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_planted_in_a_kernel_changes_the_result(bench, monkeypatch, fault):
    name, plant, build = FAULTS[fault]
    x = HALF.astype(np.float32)
    model = bench.model(build, {"x": x})
    right = next(iter(model({"x": x}).values()))
    monkeypatch.setitem(KERNELS, name, replace(KERNELS[name], function=plant(KERNELS[name].function)))
    wrong = next(iter(Model(model.program)({"x": x}).values()))
    assert not np.allclose(right, wrong)
