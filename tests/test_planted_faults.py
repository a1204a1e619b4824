"""Faults planted on purpose, each caught; the same case without it passes.

A fault is planted where a real one would sit: in a converter, a MIL pass, the partitioner, the package's metadata, a
kernel of the reference executor, or the boundary between torch and Core ML. The cases are PyTorch's own samples.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import coremltools.converters.mil.frontend.torch.ops as converters
import numpy as np
import pytest
import torch
from coremltools.converters.mil.frontend.torch.torch_op_registry import _TORCH_OPS_REGISTRY
from coremltools.converters.mil.mil.passes.pass_registry import PASS_REGISTRY
from executorch.backends.apple.coreml.compiler import CoreMLBackend
from executorch.backends.apple.coreml.partition import coreml_partitioner

from harness.cases import find
from harness.check import Checker
from harness.evidence.check import Check
from harness.evidence.recipe import DEFAULT_RECIPES, Recipe
from harness.evidence.record import Record
from harness.evidence.vocabulary import Outcome, Phase
from harness.lowering import speedups
from harness.mil.kernels import KERNELS
from harness.units import whole_program
from harness.units.reference import OpenReference

Plant = Callable[[pytest.MonkeyPatch], None]
BOTH = DEFAULT_RECIPES
FP32, FP16 = ("fp32-ios18",), ("fp16-ios18",)


@dataclass(frozen=True)
class Fault:
    """`where` and `what` name it; `plant` breaks something; `outcome` is what the harness must then say of `case`
    (an id without `ops/aten.`) under each of `recipes`. Some are within the bounds of fp16, and caught in fp32 alone.
    """

    where: str
    what: str
    case: str
    plant: Plant
    outcome: Outcome = Outcome.WRONG_VALUE
    phase: Phase = Phase.VALUE
    recipes: tuple[str, ...] = BOTH
    healthy: Outcome = Outcome.PASS
    note: str = "lowering:"

    @property
    def name(self) -> str:
        return f"{self.where}: {self.what}".replace(" ", "-")


# --- where faults are planted ------------------------------------------------------------------------------


def emits(op: str, change: Callable[[dict[str, Any]], dict[str, Any]], instead: str = "") -> Plant:
    """The torch frontend emits MIL `op` (or another one `instead`) with its arguments changed."""

    class Builder:
        def __getattr__(self, name: str) -> Any:
            real = getattr(builder, instead if instead and name == op else name)
            return (lambda **arguments: real(**change(arguments))) if name == op else real

    builder = converters.mb
    return lambda patch: patch.setattr(converters, "mb", Builder())


def with_(**changes: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Arguments replaced; a function is called with the arguments."""
    return lambda given: {**given, **{k: v(given) if callable(v) else v for k, v in changes.items()}}


def swapped(first: str, second: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda given: {**given, first: given[second], second: given[first]}


def same(given: dict[str, Any]) -> dict[str, Any]:
    return given


def constant(given: dict[str, Any], name: str) -> Any:
    """The value of an argument that is constant, however it is given."""
    value = given[name]
    return np.asarray(getattr(value, "val", value))


def scaled(op: str, factor: float) -> Plant:
    """The torch frontend multiplies the result of `op`."""

    class Builder:
        def __getattr__(self, name: str) -> Any:
            real = getattr(builder, name)
            if name != op:
                return real

            def planted(**arguments: Any) -> Any:
                result = real(**{**arguments, "name": arguments["name"] + "_right"})
                return builder.mul(x=result, y=np.float32(factor), name=arguments["name"])

            return planted

    builder = converters.mb
    return lambda patch: patch.setattr(converters, "mb", Builder())


def converter_raises(op: str) -> Plant:
    def planted(_context: Any, _node: Any) -> None:
        raise IndexError("pop from empty list")

    return lambda patch: patch.setitem(_TORCH_OPS_REGISTRY.name_to_func_mapping, op, planted)


def inference(op: str, shape: Callable[[tuple[int, ...]], tuple[int, ...]]) -> Plant:
    """MIL's type inference of `op` declares another shape than the operator gives."""
    from coremltools.converters.mil.mil import types
    from coremltools.converters.mil.mil.ops.registry import SSAOpRegistry

    kind = SSAOpRegistry.core_ops[op][next(iter(SSAOpRegistry.core_ops[op]))]
    right = kind.type_inference

    def planted(self: Any) -> Any:
        found = right(self)
        return types.tensor(found.get_primitive(), shape(tuple(found.get_shape())))

    return lambda patch: patch.setattr(kind, "type_inference", planted)


def a_pass_removes(op: str) -> Plant:
    """A graph pass takes an operator for one without effect."""
    target = type(PASS_REGISTRY["common::noop_elimination"])
    right = target.apply

    def planted(self: Any, program: Any) -> None:
        for function in program.functions.values():
            for operation in [o for o in function.operations if o.op_type == op]:
                block = operation.enclosing_block
                block.replace_uses_of_var_after_op(
                    anchor_op=operation, old_var=operation.outputs[0], new_var=operation.x
                )
                block.remove_ops([operation])
        right(self, program)

    return lambda patch: patch.setattr(target, "apply", planted)


def constants_lose_bits(patch: pytest.MonkeyPatch) -> None:
    """Constants are cast to fp16 with the seven fraction bits of bfloat16."""
    from coremltools.converters.mil.mil.ops.defs.iOS15.elementwise_unary import cast

    right = cast.get_cast_value

    def planted(value: Any, dtype: Any) -> Any:
        found = right(value, dtype)
        if getattr(found, "dtype", None) != np.float16:
            return found
        return (np.asarray(found).view(np.uint16) & np.uint16(0xFFF8)).view(np.float16).reshape(np.shape(found))

    patch.setattr(cast, "get_cast_value", staticmethod(planted))


def partitioner_claims_everything(patch: pytest.MonkeyPatch) -> None:
    support = coreml_partitioner._OperatorsSupportedForCoreMLBackend
    patch.setattr(support, "should_override_support", lambda _self, _node: False)


def metadata_reverses(patch: pytest.MonkeyPatch) -> None:
    right = CoreMLBackend.model_metadata_from_spec

    def planted(*arguments: Any, **keywords: Any) -> Any:
        found = right(*arguments, **keywords)
        found.inputNames.reverse()
        return found

    patch.setattr(CoreMLBackend, "model_metadata_from_spec", staticmethod(planted))


def kernel(op: str, function: Callable[[Callable[..., Any]], Callable[..., Any]]) -> Plant:
    """The reference executor's kernel of `op` is another one, made from the right one."""
    right = KERNELS[op]
    return lambda patch: patch.setitem(KERNELS, op, dataclasses.replace(right, function=function(right.function)))


def inputs_reversed(patch: pytest.MonkeyPatch) -> None:
    right = OpenReference.predict
    patch.setattr(OpenReference, "predict", lambda self, inputs: right(self, inputs[::-1]))


def outputs_not_converted(patch: pytest.MonkeyPatch) -> None:
    right = whole_program.from_feature

    def planted(array: Any, _spec: Any, name: str) -> Any:
        return right(array, None, name)

    patch.setattr(whole_program, "from_feature", planted)


def int64_read_as_int32(patch: pytest.MonkeyPatch) -> None:
    """Each integer of 64 bits is taken for two of 32."""
    right = whole_program.to_feature

    def planted(value: Any, feature: Any) -> Any:
        if isinstance(value, torch.Tensor) and value.dtype is torch.int64 and value.dim():
            pairs = value.contiguous().view(torch.int32)
            value = pairs.reshape(-1)[: value.numel()].reshape(value.shape)
        return right(value, feature)

    patch.setattr(whole_program, "to_feature", planted)


# --- the faults --------------------------------------------------------------------------------------------

FAULTS = [
    Fault("converter", "operands of sub swapped", "sub.Tensor/float32/opinfo-9f3b46", emits("sub", swapped("x", "y"))),
    Fault(
        "converter",
        "div rounds down",
        "div.Tensor/float32/opinfo-div.no_rounding_mode-b156b5",
        emits("real_div", same, "floor_div"),
    ),
    Fault(
        "converter",
        "softmax over another axis",
        "softmax.int/float32/opinfo-fcc21d",
        emits("softmax", with_(axis=lambda a: int(constant(a, "axis")) - 1)),
    ),
    Fault(
        "converter",
        "gelu approximated",
        "gelu.default/float32/opinfo-789070",
        emits("gelu", with_(mode="TANH_APPROXIMATION")),
        recipes=FP32,
    ),
    Fault(
        "converter",
        "epsilon of instance_norm a hundredfold",
        "instance_norm.default/float32/opinfo-c4516b",
        emits("instance_norm", with_(epsilon=1e-3)),
        recipes=FP32,
    ),
    Fault(
        "converter",
        "mean keeps its dimension",
        "mean.dim/float32/opinfo-aeea35",
        emits("reduce_mean", with_(keep_dims=lambda a: not constant(a, "keep_dims"))),
        Outcome.WRONG_SHAPE,
        Phase.SHAPE,
    ),
    Fault(
        "converter",
        "mean over another axis",
        "mean.dim/float32/opinfo-aeea35",
        emits("reduce_mean", with_(axes=lambda a: constant(a, "axes") - 1)),
        Outcome.WRONG_SHAPE,
        Phase.SHAPE,
    ),
    Fault(
        "converter",
        "slope of leaky_relu doubled",
        "leaky_relu.default/float32/opinfo-7ab7b0",
        emits("leaky_relu", with_(alpha=0.02)),
    ),
    Fault(
        "converter",
        "padding of conv shifted by one",
        "conv2d.default/float32/opinfo-ca1777",
        emits("conv", with_(pad=lambda a: constant(a, "pad") + [-1, 1, 0, 0])),
    ),
    Fault("converter", "mul off by a thousandth", "mul.Tensor/float32/opinfo-137ba1", scaled("mul", 1.001)),
    Fault("converter", "matmul off by half a percent", "matmul.default/float32/opinfo-6f44e7", scaled("matmul", 1.005)),
    Fault(
        "converter",
        "exp off by two thousandths",
        "exp.default/float32/opinfo-59162a",
        scaled("exp", 1.002),
        recipes=FP32,
    ),
    Fault(
        "converter",
        "lower bound of clip doubled",
        "hardtanh.default/float32/opinfo-5dc77e",
        emits("clip", with_(alpha=lambda a: constant(a, "alpha") * 2)),
    ),
    Fault(
        "converter",
        "permutation of transpose reversed",
        "permute.default/float32/opinfo-c66cf8",
        emits("transpose", with_(perm=lambda a: constant(a, "perm")[::-1])),
        Outcome.WRONG_SHAPE,
        Phase.SHAPE,
    ),
    Fault(
        "converter",
        "concat in reverse",
        "cat.default/float32/opinfo-ddab5b",
        emits("concat", with_(values=lambda a: tuple(a["values"])[::-1])),
    ),
    Fault(
        "converter",
        "cumsum without its own element",
        "cumsum.default/float32/opinfo-f88cf0",
        emits("cumsum", with_(exclusive=True)),
    ),
    Fault(
        "converter",
        "argmax is argmin",
        "argmax.default/float32/opinfo-b88d3c",
        emits("reduce_argmax", same, "reduce_argmin"),
    ),
    Fault(
        "converter", "branches of where swapped", "where.self/float32/opinfo-97d229", emits("select", swapped("a", "b"))
    ),
    Fault(
        "converter",
        "corners of bilinear aligned",
        "upsample_bilinear2d.vec/float32/opinfo-nn.functional.interpolate.bilinear-e2ff34",
        emits("upsample_bilinear", with_(align_corners=lambda a: not constant(a, "align_corners"))),
    ),
    Fault("converter", "equal is not_equal", "eq.Tensor/float32/opinfo-7cd2e7", emits("equal", same, "not_equal")),
    Fault(
        "converter",
        "remainder does not round down",
        "remainder.Tensor/float32/opinfo-77f7d7",
        emits("floor_div", same, "real_div"),
    ),
    Fault(
        "converter",
        "raises",
        "tanh.default/float32/opinfo-8bec82",
        converter_raises("tanh"),
        Outcome.CONVERT_ERROR,
        Phase.CONVERT,
    ),
    Fault(
        "converter",
        "shape declared wrong",
        "tanh.default/float32/opinfo-8bec82",
        inference("tanh", lambda shape: (*shape[:-1], shape[-1] + 1)),
        Outcome.INVALID_PROGRAM,
        Phase.RUN,
    ),
    Fault(
        "MIL pass",
        "abs taken for no operation",
        "div.Tensor/float32/opinfo-nn.functional.normalize-2a1d87",
        a_pass_removes("abs"),
    ),
    Fault(
        "MIL pass",
        "constants lose bits in the fp16 cast",
        "rad2deg.default/float32/opinfo-74f841",
        constants_lose_bits,
        recipes=FP16,
        note="precision:",
    ),
    Fault(
        "partitioner",
        "claims sub with alpha",
        "sub.Tensor/float32/opinfo-be5e78",
        partitioner_claims_everything,
        healthy=Outcome.FALLBACK,
    ),
    Fault("metadata", "names inputs in reverse", "sub.Tensor/float32/opinfo-9f3b46", metadata_reverses),
    Fault(
        "kernel",
        "tanh off by a percent",
        "tanh.default/float32/opinfo-8bec82",
        kernel("tanh", lambda right: lambda *a, **k: right(*a, **k) * np.float32(1.01)),
    ),
    Fault(
        "kernel",
        "maximum is minimum",
        "maximum.default/float32/opinfo-beb3bc",
        kernel("maximum", lambda _right: KERNELS["minimum"].function),
    ),
    Fault(
        "kernel",
        "result of another shape",
        "tanh.default/float32/opinfo-8bec82",
        kernel("tanh", lambda right: lambda *a, **k: right(*a, **k)[None]),
        Outcome.INVALID_PROGRAM,
        Phase.RUN,
    ),
    Fault(
        "kernel",
        "result of another dtype",
        "permute.default/float32/opinfo-c66cf8",
        kernel("transpose", lambda right: lambda *a, **k: right(*a, **k).astype(np.int32)),
        Outcome.INVALID_PROGRAM,
        Phase.RUN,
    ),
    Fault("boundary", "inputs in reverse", "sub.Tensor/float32/opinfo-9f3b46", inputs_reversed),
    Fault(
        "boundary",
        "bool stays a number",
        "eq.Tensor/float32/opinfo-7cd2e7",
        outputs_not_converted,
        Outcome.WRONG_DTYPE,
        Phase.DTYPE,
    ),
    Fault(
        "boundary",
        "int64 stays int32",
        "argmax.default/float32/opinfo-b88d3c",
        outputs_not_converted,
        Outcome.WRONG_DTYPE,
        Phase.DTYPE,
    ),
    Fault(
        "boundary",
        "rank 0 stays rank 1",
        "sub.Tensor/float32/opinfo-53be41",
        outputs_not_converted,
        Outcome.WRONG_SHAPE,
        Phase.SHAPE,
    ),
    Fault("boundary", "int64 read as int32", "gather.default/float32/opinfo-298544", int64_read_as_int32),
]


# --- the tests ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", autouse=True)
def _measuring() -> None:
    torch.set_num_threads(1)
    speedups.enable()


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """The measured packages log every node they look at."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


def check(case: str, recipe: str) -> Record:
    """Nothing cached, nothing shared with another check."""
    return Checker().check(Check.of(find.find(f"ops/aten.{case}"), Recipe.parse(recipe), "reference"))


@pytest.fixture(scope="module")
def healthy() -> Callable[[str, str], Record]:
    known: dict[tuple[str, str], Record] = {}

    def get(case: str, recipe: str) -> Record:
        if (case, recipe) not in known:
            known[case, recipe] = check(case, recipe)
        return known[case, recipe]

    return get


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_planted_fault_is_caught(
    fault: Fault, healthy: Callable[[str, str], Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    for recipe in fault.recipes:
        before = healthy(fault.case, recipe)
        assert before.outcome is fault.healthy, before
        with monkeypatch.context() as patch:
            fault.plant(patch)
            record = check(fault.case, recipe)
        assert (record.outcome, record.phase) == (fault.outcome, fault.phase), record
        assert record.error is not None
        if fault.outcome is Outcome.WRONG_VALUE:
            assert record.numerics is not None
            assert record.reason
            # A wrong program is wrong with every float widened; that is how it is told from an effect of precision.
            assert any(str(note).startswith(fault.note) for note in record.notes), record.notes


def test_nothing_stays_planted(healthy: Callable[[str, str], Record]) -> None:
    """The cases above once more, after all of them."""
    for case in sorted({fault.case for fault in FAULTS}):
        for recipe in FP16:
            again = check(case, recipe)
            assert (again.outcome, again.numerics) == (healthy(case, recipe).outcome, healthy(case, recipe).numerics)


def test_the_table_is_as_broad_as_it_says() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) >= 12
    assert {fault.where for fault in FAULTS} == {
        "converter", "MIL pass", "partitioner", "metadata", "kernel", "boundary",
    }  # fmt: skip
