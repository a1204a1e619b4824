"""Faults planted in a frontend op, in a MIL pass and in the fp16 cast: operator, pass and stage are named each time.
Faults in a decomposition and in what several delegates do together have a stage alone."""

from __future__ import annotations

import dataclasses
import logging
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from typing import cast as cast_to

import coremltools.converters.mil.frontend.torch.ops as converters
import numpy as np
import pytest
import torch
from coremltools.converters.mil.frontend.torch.converter import TranscriptionContext
from coremltools.converters.mil.frontend.torch.torch_op_registry import _TORCH_OPS_REGISTRY
from coremltools.converters.mil.mil import types
from coremltools.converters.mil.mil.ops.defs.iOS15.elementwise_unary import cast
from coremltools.converters.mil.mil.ops.registry import SSAOpRegistry
from coremltools.converters.mil.mil.passes.pass_pipeline import PassPipelineManager
from coremltools.converters.mil.mil.passes.pass_registry import PASS_REGISTRY, PassRegistry
from executorch.backends.apple.coreml.compiler import CoreMLBackend
from torch._decomp import decomposition_table

from harness.cases import find
from harness.cases.case import Built, Case
from harness.cli import main
from harness.diagnosis.localise import (
    ASSEMBLY,
    DECOMPOSITION,
    EMISSION,
    FP16_CAST,
    FRONTEND,
    MIL_PASS,
    Localisation,
    in_words,
    localise,
    run,
)
from harness.diagnosis.nodes import EdgeProgram, Join, Node
from harness.diagnosis.replay import State, converter_source, first_wrong
from harness.evidence.files import Evidence, write_evidence
from harness.evidence.recipe import Recipe
from harness.evidence.record import Record
from harness.evidence.vocabulary import HarnessError, Kind, Level, Outcome, Phase
from harness.lowering import speedups
from harness.lowering.program import TensorSpec
from harness.mil.program import NamedType, Operation
from harness.mil.types import TensorType as MilTensor
from harness.verdict import judge as judging

FP32, FP16 = Recipe.parse("fp32-ios18"), Recipe.parse("fp16-ios18")
CAST = "common::add_fp16_cast"


@pytest.fixture(scope="module", autouse=True)
def _measuring() -> None:
    speedups.enable()


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """The measured packages log every node they look at."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


class _Module(torch.nn.Module):
    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function
        self.weight = torch.nn.Parameter(torch.linspace(-1.0, 1.5, 12).reshape(3, 4))

    def forward(self, *inputs: torch.Tensor) -> Any:
        return self.function(self.weight, *inputs)


def case_of(function: Callable[..., Any], *inputs: torch.Tensor) -> Case:
    """A case of `function(weight [3, 4], *inputs)`; the inputs are on the grid of fp16."""
    built = Built(_Module(function).eval(), tuple(t.half().float() for t in inputs), 0)
    return Case(
        id="ops/chain",
        kind=Kind.OPERATOR,
        op="aten.tanh.default",
        api="chain",
        dtype="float32",
        origin="test",
        level=Level.SMOKE,
        build=lambda: built,
    )


def chain(weight: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Operators on both sides of the one that is broken, so that naming the first, or the last, is no answer."""
    a = torch.exp(x)
    b = torch.nn.functional.linear(y, weight)
    c = torch.tanh(a - b)
    return torch.sigmoid(c) * 0.7 + torch.cos(x)


X, Y = torch.linspace(-1.0, 1.0, 6).reshape(2, 3), torch.linspace(-2.0, 1.0, 8).reshape(2, 4)
CHAIN = case_of(chain, X, Y)


# --- faults ------------------------------------------------------------------------------------------------


def converter_swaps(patch: pytest.MonkeyPatch) -> None:
    """The frontend emits every `sub` the wrong way round."""

    class Builder:
        def __getattr__(self, name: str) -> Any:
            real = getattr(builder, name)
            return (lambda **given: real(**{**given, "x": given["y"], "y": given["x"]})) if name == "sub" else real

    builder = converters.mb
    patch.setattr(converters, "mb", Builder())


def pass_also(patch: pytest.MonkeyPatch, name: str, op: str, change: Callable[[Any], None]) -> None:
    """A graph pass does something to every `op`, besides what it does."""
    target = type(PASS_REGISTRY[name])
    right = target.apply

    def planted(self: Any, program: Any) -> None:
        right(self, program)
        for function in program.functions.values():
            for operation in [o for o in function.operations if o.op_type == op]:
                change(operation)

    patch.setattr(target, "apply", planted)


def swap(operation: Any) -> None:
    operation.set_inputs(x=operation.y, y=operation.x)


def remove(operation: Any) -> None:
    """As one without effect."""
    block, result = operation.enclosing_block, operation.outputs[0]
    block.replace_uses_of_var_after_op(anchor_op=operation, old_var=result, new_var=operation.x)
    block.remove_ops([operation])


def inference_adds_one(patch: pytest.MonkeyPatch, op: str) -> None:
    """MIL's type inference of `op` declares a last dimension that is one too large."""
    kind = next(iter(SSAOpRegistry.core_ops[op].values()))
    right = kind.type_inference

    def planted(self: Any) -> Any:
        found = right(self)
        *rest, last = found.get_shape()
        return types.tensor(found.get_primitive(), (*rest, last + 1))

    patch.setattr(kind, "type_inference", planted)


def metadata_reverses(patch: pytest.MonkeyPatch) -> None:
    right = CoreMLBackend.model_metadata_from_spec

    def planted(*arguments: Any, **keywords: Any) -> Any:
        found = right(*arguments, **keywords)
        found.inputNames.reverse()
        return found

    patch.setattr(CoreMLBackend, "model_metadata_from_spec", staticmethod(planted))


def names(found: Localisation) -> tuple[str, str, str]:
    """MIL operator, ATen operator, stage."""
    assert found.culprit is not None
    assert found.node is not None
    return found.culprit.operator, found.node.target, found.stage


def decomposition_adds_one(patch: pytest.MonkeyPatch) -> None:
    """`addcmul` is none of the operators that the backend asks to keep; PyTorch says what it is made of."""

    def planted(x: torch.Tensor, a: torch.Tensor, b: torch.Tensor, *, value: float = 1) -> torch.Tensor:
        return x + a * b * (value + 1)

    patch.setitem(decomposition_table, torch.ops.aten.addcmul.default, planted)


def converter_adds(patch: pytest.MonkeyPatch, offset: float) -> None:
    """The frontend emits `x - y + offset` for every `sub`."""

    class Builder:
        def __getattr__(self, name: str) -> Any:
            return planted if name == "sub" else getattr(builder, name)

    def planted(x: Any, y: Any, name: str) -> Any:
        return builder.add(x=builder.sub(x=x, y=y), y=np.float32(offset), name=name)

    builder = converters.mb
    patch.setattr(converters, "mb", Builder())


# --- the three stages --------------------------------------------------------------------------------------


@pytest.mark.parametrize("recipe", [FP32, FP16], ids=lambda recipe: recipe.name)
def test_a_fault_in_a_converter(recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    converter_swaps(monkeypatch)
    found = localise(CHAIN, recipe)
    assert names(found) == ("sub", "aten.sub.Tensor", FRONTEND)
    assert found.pass_name == ""
    assert found.widened is False
    assert found.source.startswith("coremltools/converters/mil/frontend/torch/ops.py:")
    assert found.source.endswith("(sub)")
    assert found.folded == (), "it is in the program yet"
    text = in_words(found)
    assert "wrong from the frontend on" in text
    assert "MIL         sub -> aten_sub_tensor" in text
    assert "expected" in text
    assert "converter   coremltools/converters/mil/frontend/torch/ops.py:" in text


@pytest.mark.parametrize("recipe", [FP32, FP16], ids=lambda recipe: recipe.name)
@pytest.mark.parametrize(
    "after",
    [
        lambda c, x: x * torch.cos(c),  # the constant that is wrong is another operator's
        lambda c, x: x / c,  # a pass turns it into its inverse, which has no name
    ],
)
def test_a_fault_that_is_folded_into_a_constant(
    recipe: Recipe, after: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    converter_adds(monkeypatch, 0.5)
    case = case_of(lambda w, x: after(torch.exp(w) - torch.tanh(w), x), torch.linspace(1.0, 2.0, 4))
    found = localise(case, recipe)
    assert names(found) == ("add", "aten.sub.Tensor", FRONTEND)
    assert found.blamed == ("aten.sub.Tensor",)
    assert found.folded == ("add", "sub")


@pytest.mark.parametrize("recipe", [FP32, FP16], ids=lambda recipe: recipe.name)
@pytest.mark.parametrize("name", ["common::fuse_gelu_exact", "mil_backend::fuse_pow2_sqrt"])
def test_a_fault_in_a_pass(recipe: Recipe, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pass_also(monkeypatch, name, "sub", swap)
    found = localise(CHAIN, recipe)
    assert names(found) == ("sub", "aten.sub.Tensor", MIL_PASS)
    assert found.pass_name == name
    assert found.pass_source.startswith("coremltools/converters/mil/")
    assert found.pass_source.endswith(f"({name.split('::')[1]})")
    assert f"wrong after the MIL pass {name}, right before it" in in_words(found)


def test_a_pass_that_removes_an_operator(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it computed is nowhere to be seen; the first that is wrong is the next one."""
    pass_also(monkeypatch, "common::fuse_gelu_exact", "tanh", remove)
    found = localise(CHAIN, FP32)
    assert names(found) == ("sigmoid", "aten.sigmoid.default", MIL_PASS)
    assert found.pass_name == "common::fuse_gelu_exact"


def test_a_fault_in_the_fp16_cast(monkeypatch: pytest.MonkeyPatch) -> None:
    pass_also(monkeypatch, CAST, "sub", swap)
    found = localise(CHAIN, FP16)
    assert names(found) == ("sub", "aten.sub.Tensor", FP16_CAST)
    assert found.pass_name == CAST
    assert found.widened is False  # a defect, no effect of precision
    assert f"wrong after the fp16 cast ({CAST}), right before it" in in_words(found)
    assert localise(CHAIN, FP32).outcome == Outcome.PASS  # where the pass does not run


def test_a_constant_that_the_fp16_cast_spoils(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cast of the weight is planned by one pass and carried out by the next, which folds it."""
    right = cast.get_cast_value

    def planted(value: Any, dtype: Any) -> Any:
        found = right(value, dtype)
        return found * np.float16(1.25) if getattr(found, "dtype", None) == np.float16 and np.size(found) > 1 else found

    monkeypatch.setattr(cast, "get_cast_value", staticmethod(planted))
    found = localise(CHAIN, FP16)
    assert found.culprit is not None
    assert found.node is not None
    assert (found.culprit.operator, found.node.target, found.node.name) == ("const", "input", "p_weight")
    assert (found.stage, found.pass_name) == (MIL_PASS, "common::const_elimination")
    assert "a constant, is the first to leave its bound" in in_words(found)


@pytest.mark.parametrize("recipe", [FP32, FP16], ids=lambda recipe: recipe.name)
def test_a_healthy_check_says_so(recipe: Recipe) -> None:
    found = localise(CHAIN, recipe)
    assert (found.outcome, found.stage, found.culprit) == (Outcome.PASS, "", None)
    assert in_words(found) == "localised   nothing wrong: the results are within their bounds"


# --- other ways to be wrong --------------------------------------------------------------------------------


def test_a_number_that_a_pass_makes_infinite() -> None:
    case = case_of(lambda w, x: x + (x - x) * 3.4e38, X)
    assert localise(case, FP16).overflows
    assert not localise(case, FP32).overflows
    infinite = case_of(lambda w, x: x.masked_fill(x < 0, float("-inf")).softmax(-1), X - 1)
    found = localise(infinite, FP16)
    assert not found.overflows, "it was infinite before"


def test_an_effect_of_precision_is_told_from_a_defect() -> None:
    x = torch.tensor([300.0, 2.0])
    found = localise(case_of(lambda _w, x: torch.cos(x) + x * x * 1e-4, x), FP16)
    assert found.outcome == Outcome.OUT_OF_RANGE
    assert names(found) == ("mul", "aten.mul.Tensor", FP16_CAST)
    assert found.widened is True
    assert "precision   right when every float is widened" in in_words(found)


def test_a_declared_shape_that_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    inference_adds_one(monkeypatch, "tanh")
    found = localise(case_of(lambda _w, x: torch.tanh(torch.exp(x)), X), FP32)
    assert found.outcome == Outcome.INVALID_PROGRAM
    assert names(found) == ("tanh", "aten.tanh.default", FRONTEND)
    assert found.culprit is not None
    assert "declared" in found.culprit.reason


def test_a_shape_that_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    class Builder:
        def __getattr__(self, name: str) -> Any:
            real = getattr(builder, name)
            return (lambda **given: real(**{**given, "axes": [0]})) if name == "reduce_mean" else real

    builder = converters.mb
    monkeypatch.setattr(converters, "mb", Builder())
    found = localise(case_of(lambda _w, x: torch.exp(x).mean(dim=1), X), FP32)
    assert found.outcome == Outcome.WRONG_SHAPE
    assert names(found) == ("reduce_mean", "aten.mean.dim", FRONTEND)
    assert found.culprit is not None
    assert "shape [3], expected [2]" in found.culprit.reason


def test_a_fused_operator_has_the_value_of_the_last_node(monkeypatch: pytest.MonkeyPatch) -> None:
    """`fuse_gelu_exact` makes one operator of five; its result keeps the name of the last."""

    def by_erf(_weight: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        y = torch.tanh(x)
        return torch.cos(0.5 * y * (torch.erf(y * 2**-0.5) + 1))

    def from_input(operation: Any) -> None:
        operation.set_inputs(x=operation.x.op.x)  # gelu of x, not of tanh x

    pass_also(monkeypatch, "mil_backend::fuse_pow2_sqrt", "gelu", from_input)
    found = localise(case_of(by_erf, X), FP32)
    assert names(found) == ("gelu", "aten.mul.Tensor", MIL_PASS)
    assert found.pass_name == "mil_backend::fuse_pow2_sqrt"


class Counter(torch.nn.Module):
    """Writes `update(total, x)` to a buffer of its own, which no result depends on."""

    def __init__(self, update: Callable[..., torch.Tensor], result: Callable[..., torch.Tensor]) -> None:
        super().__init__()
        self.update, self.result = update, result
        self.register_buffer("total", torch.zeros(2, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.total.copy_(self.update(self.total, x))
        return self.result(x)


def counter(update: Callable[..., torch.Tensor], result: Callable[..., torch.Tensor] = torch.tanh) -> Case:
    built = Built(Counter(update, result).eval(), (X.half().float(),), 0)
    return dataclasses.replace(CHAIN, build=lambda: built)


def test_a_state_is_no_result(monkeypatch: pytest.MonkeyPatch) -> None:
    """A buffer that the delegate writes to is its state; the results are those of the graph."""
    case = counter(torch.add, lambda x: torch.tanh(x) - torch.cos(x))
    assert localise(case, FP16).outcome == Outcome.PASS
    converter_swaps(monkeypatch)
    assert names(localise(case, FP16)) == ("sub", "aten.sub.Tensor", FRONTEND)


@pytest.mark.parametrize("recipe", [FP32, FP16], ids=lambda recipe: recipe.name)
def test_a_wrong_buffer(recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """The results are right: only the next call would show what is wrong."""
    case = counter(lambda total, x: torch.cos(total) - torch.exp(x))
    assert localise(case, recipe).outcome == Outcome.PASS
    converter_swaps(monkeypatch)
    found = localise(case, recipe)
    assert found.outcome == Outcome.WRONG_VALUE
    assert found.reason.startswith("buffer total")
    assert names(found) == ("sub", "aten.sub.Tensor", FRONTEND)


def test_a_buffer_that_a_pass_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    pass_also(monkeypatch, "common::fuse_gelu_exact", "sub", swap)
    found = localise(counter(lambda total, x: torch.cos(total) - torch.exp(x)), FP32)
    assert names(found) == ("sub", "aten.sub.Tensor", MIL_PASS)
    assert found.pass_name == "common::fuse_gelu_exact"


def test_a_buffer_of_the_second_delegate(monkeypatch: pytest.MonkeyPatch) -> None:
    converter_swaps(monkeypatch)
    found = localise(counter(lambda total, x: total - torch.asinh(torch.sin(x)), torch.cos), FP16)
    assert names(found) == ("sub", "aten.sub.Tensor", FRONTEND)
    assert (found.delegate, found.delegates) == (1, 2)


def test_a_buffer_that_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every operator is right and what one gives is not kept: the pass is named, and the buffer."""

    def keep(operation: Any) -> None:
        before = next(o for o in operation.enclosing_block.operations if o.op_type == "read_state")
        operation.set_inputs(value=before.outputs[0])

    pass_also(monkeypatch, "common::fuse_gelu_exact", "coreml_update_state", keep)
    found = localise(counter(torch.add), FP32)
    assert (found.outcome, found.stage) == (Outcome.WRONG_VALUE, MIL_PASS)
    assert found.pass_name == "common::fuse_gelu_exact"
    assert "buffer total" in in_words(found)


def test_what_is_wrong_with_the_package_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    metadata_reverses(monkeypatch)
    found = localise(case_of(lambda _w, x, y: x - y, X, X * 2 + 1), FP32)
    assert found.stage == EMISSION
    assert found.pass_name == ""


def test_the_delegate_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second of two, on inputs that are right; `asinh` is none of Core ML's."""
    converter_swaps(monkeypatch)
    found = localise(case_of(lambda _w, x: torch.cos(x) - torch.asinh(torch.sin(x)), X), FP32)
    assert names(found) == ("sub", "aten.sub.Tensor", FRONTEND)
    assert (found.delegate, found.delegates) == (1, 2)
    assert "delegate    2 of 2" in in_words(found)


@pytest.mark.parametrize("recipe", [FP32, FP16], ids=lambda recipe: recipe.name)
def test_a_fault_in_a_decomposition(recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """No operator of the program is to blame: it computes what the edge program says."""
    case = case_of(lambda _w, x: torch.cos(torch.addcmul(torch.tanh(x), x, x, value=0.5)), X)
    assert localise(case, recipe).outcome == Outcome.PASS
    decomposition_adds_one(monkeypatch)
    found = localise(case, recipe)
    assert (found.outcome, found.stage) == (Outcome.WRONG_VALUE, DECOMPOSITION)
    assert (found.culprit, found.pass_name) == (None, "")
    text = in_words(found)
    assert text.startswith("localised   wrong before Core ML: the edge program itself gives other values; output 0")
    assert "\n" not in text


def test_errors_that_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each delegate adds 2.4e-7 and the bound is 3e-7: with either in the place of eager's results the check passes."""
    one = torch.ones(2, 3)
    case = case_of(lambda _w, x, y: torch.asinh(x - y) - y, one, one * 0.75)
    assert localise(case, FP32).outcome == Outcome.PASS
    with monkeypatch.context() as patch:
        converter_adds(patch, 2.0**-22)
        found = localise(case, FP32)
    assert (found.outcome, found.stage, found.delegates) == (Outcome.WRONG_VALUE, ASSEMBLY, 2)
    assert found.culprit is None
    assert "each delegate alone gives results that are right, together they do not: output 0" in in_words(found)
    converter_adds(monkeypatch, 2.0**-20)  # more than the bound: the first of them is wrong alone
    found = localise(case, FP32)
    assert (found.stage, found.delegate) == (FRONTEND, 0)
    assert names(found)[:2] == ("add", "aten.sub.Tensor")


def test_values_in_another_layout_are_no_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    """`reduce_transposes` moves the transposes past `exp`: its result is transposed, and right."""
    square = torch.linspace(-1.0, 1.0, 9).reshape(3, 3)
    case = case_of(lambda _w, x: torch.tanh(torch.exp(x.T).T - 1.5) * 2, square)
    assert localise(case, FP32).outcome == Outcome.PASS
    converter_swaps(monkeypatch)
    assert names(localise(case, FP32)) == ("sub", "aten.sub.Tensor", FRONTEND)


def test_a_whole_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the budget it is judged by the signal-to-quantization-noise of each node."""
    monkeypatch.setattr(judging, "within_budget", lambda _truth: False)
    case = dataclasses.replace(CHAIN, whole_model=True)
    assert localise(case, FP16).outcome == Outcome.PASS
    pass_also(monkeypatch, "common::fuse_gelu_exact", "sub", swap)
    found = localise(case, FP16)
    assert names(found) == ("sub", "aten.sub.Tensor", MIL_PASS)
    assert "SQNR" in in_words(found)


# --- findings of the released packages ---------------------------------------------------------------------


def test_gelu_by_tanh() -> None:
    """The converter reads positional arguments alone; the edge program gives `approximate` by keyword."""
    found = localise(find.find("ops/aten.gelu.default/float32/opinfo-d30834"), FP32)
    assert found.outcome == Outcome.WRONG_VALUE
    assert names(found) == ("gelu", "aten.gelu.default", FRONTEND)
    assert found.source.startswith("coremltools/converters/mil/frontend/torch/ops.py:")
    assert found.source.endswith("(gelu)")


@pytest.mark.parametrize("recipe", [FP32, FP16], ids=lambda recipe: recipe.name)
def test_clamp_by_tensors(recipe: Recipe) -> None:
    """Where min is above max, PyTorch gives max: the converter takes the maximum last."""
    found = localise(find.find("ops/aten.clamp.Tensor/float32/opinfo-e1ac6d"), recipe)
    assert names(found) == ("maximum", "aten.clamp.Tensor", FRONTEND)
    assert found.source.endswith("(clamp)")
    assert "maximum -> " in run(f"ops/aten.clamp.Tensor/float32/opinfo-e1ac6d@{recipe.name}@reference")


def test_renorm_by_an_inexact_reciprocal() -> None:
    """The bounds of the whole graph have room for what `inverse` adds; on the inputs it is given, it is outside."""
    found = localise(find.find("ops/aten.renorm.default/float32/opinfo-390379"), FP32)
    assert names(found) == ("inverse", "aten.reciprocal.default", FRONTEND)
    assert found.culprit is not None
    assert found.culprit.local
    assert "on the inputs it was given" in in_words(found)


# --- parts -------------------------------------------------------------------------------------------------


def test_the_state_from_which_on_it_is_wrong() -> None:
    def states(*right: bool | None) -> list[State]:
        return [State("default", f"pass {i}" if i else "", r) for i, r in enumerate(right)]

    def name(*right: bool | None) -> str | None:
        found = first_wrong(states(*right))
        return found.name if found is not None else None

    assert name(True, True) is None
    assert name(False, False) == ""
    assert name(True, False, False) == "pass 1"
    assert name(True, False, True, False) == "pass 3"  # right again in between
    assert name(None, None, False) == "pass 2"
    assert name(True, False, None) == "pass 1"


def test_which_node_a_result_is_the_value_of() -> None:
    def operation(kind: str, *outputs: str) -> Operation:
        return Operation(kind, outputs[0], {}, tuple(NamedType(name, MilTensor("fp16", (2,))) for name in outputs))

    floats = TensorSpec("float32", (2,))
    nodes = [
        Node("x", "input", "", None, floats),
        Node("split", "aten.split.Tensor", "aten.split.Tensor", 1, None),
        Node("split", "aten.split.Tensor", "aten.split.Tensor", 1, floats),
        Node("split", "aten.split.Tensor", "aten.split.Tensor", 1, floats),
        Node("exp", "aten.exp.default", "aten.exp.default", 2, floats),
        Node("norm", "aten.norm.Scalar", "aten.norm.Scalar", 3, floats),
    ]
    cast, split = operation("cast", "x_to_fp16_1"), operation("split", "split_cast_fp16_0", "split_cast_fp16_1")
    exp, index = operation("exp", "exp_cast_fp16"), operation("cast", "exp_cast_fp16_to_int32_to_fp16")
    middle, norm = operation("reduce_sum", "sum_0"), operation("sqrt", "sqrt_0")
    names = {"x": [0], "split_0": [2], "split_1": [3], "exp": [4]}
    handles = {"sum_0:reduce_sum": [3], "sqrt_0:sqrt": [3], "split_cast_fp16_0:split": [1]}
    edge = cast_to(EdgeProgram, SimpleNamespace(nodes=nodes))
    join = Join(edge, [cast, split, exp, index, middle, norm], handles, names)
    assert join.values_of(cast, 0) == (0,)
    assert (join.values_of(split, 0), join.values_of(split, 1)) == ((2,), (3,))
    assert join.values_of(exp, 0) == (4,)
    assert join.values_of(index, 0) == ()  # a float that was made an integer
    assert (join.values_of(middle, 0), join.values_of(norm, 0)) == ((), (5,))  # by handle, the last of the node
    assert join.nodes_of(middle) == (5,)


def test_going_back_and_forth_is_told() -> None:
    passes = [("", False), ("common::a", None), ("common::b", True), (CAST, False)]
    states = tuple(State("default", name, right, "" if right is not None else "of ops") for name, right in passes)
    text = in_words(Localisation(Outcome.WRONG_VALUE, stage=FP16_CAST, pass_name=CAST, states=states, passes=9))
    assert "passes      9 run, 3 changed the program" in text
    assert f"wrong after the frontend, right after common::b, wrong after {CAST}" in text
    assert "common::a left a program that cannot be run: of ops" in text


def test_no_converter_no_source() -> None:
    assert converter_source("aten.no_such_operator.default") == ""
    assert converter_source("") == ""
    assert converter_source("aten.mul.Tensor").endswith("(mul)")


def test_the_converter_is_left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    hooked = [(PassPipelineManager, "apply_pipeline"), (PassRegistry, "__getitem__"), (TranscriptionContext, "add")]
    hooked.append((CoreMLBackend, "preprocess"))
    before = [owner.__dict__[name] for owner, name in hooked]
    with monkeypatch.context() as patch:
        converter_swaps(patch)
        assert localise(CHAIN, FP32).passes > 50
    assert [owner.__dict__[name] for owner, name in hooked] == before
    assert localise(CHAIN, FP32).outcome == Outcome.PASS


def test_what_does_not_lower_has_no_value(monkeypatch: pytest.MonkeyPatch) -> None:
    def planted(_context: Any, _node: Any) -> None:
        raise IndexError("pop from empty list")

    monkeypatch.setitem(_TORCH_OPS_REGISTRY.name_to_func_mapping, "tanh", planted)
    found = localise(CHAIN, FP32)
    assert (found.outcome, found.stage) == (Outcome.CONVERT_ERROR, "")
    assert "pop from empty list" in in_words(found)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case, recipe = "ops/aten.gelu.default/float32/opinfo-d30834", "fp32-ios18"
    record = Record(case, recipe, "reference", Outcome.WRONG_VALUE, Phase.VALUE, environment="here")
    write_evidence(tmp_path / "evidence.jsonl", Evidence({"here": {}}, [record]))
    arguments = ["explain", record.check_id, "--evidence", str(tmp_path / "evidence.jsonl")]
    assert main(arguments) == 0
    assert "localised" not in capsys.readouterr().out
    assert main([*arguments, "--localise"]) == 0
    told = capsys.readouterr()
    assert "wrong_value: a value outside the bound" in told.out
    assert "localised   wrong from the frontend on\nMIL         gelu -> aten_gelu_default" in told.out
    assert told.err == ""


def test_a_case_of_the_users_own_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = """
        import torch


        class Difference(torch.nn.Module):
            def forward(self, x):
                return torch.tanh(x) - torch.cos(x)


        def difference():
            return Difference(), (torch.randn(2, 3),)
        """
    (tmp_path / "mine.py").write_text(textwrap.dedent(source))
    case = "check/mine/difference"
    record = Record(case, "fp32-ios18", "reference", Outcome.WRONG_VALUE, Phase.VALUE, environment="here")
    write_evidence(tmp_path / "evidence.jsonl", Evidence({"here": {}}, [record]))
    arguments = ["explain", record.check_id, "--evidence", str(tmp_path / "evidence.jsonl"), "--localise"]
    converter_swaps(monkeypatch)
    assert main(arguments) == 2  # from another folder
    assert capsys.readouterr().err == (
        f"coreml-harness: {case}: a case of your own file, and there is no mine.py here: run in its folder\n"
    )
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 0
    text = capsys.readouterr().out
    assert "localised   wrong from the frontend on" in text
    assert "MIL         sub -> aten_sub_tensor" in text
    with pytest.raises(HarnessError, match="no case named 'other'"):
        run("check/mine/other@fp32-ios18@reference")
    with pytest.raises(HarnessError, match="a case of your own file"):
        run("check/mine@fp32-ios18@reference")


def test_an_exported_program_of_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Difference(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.tanh(x) - torch.cos(x)

    torch.export.save(torch.export.export(Difference(), (torch.randn(2, 3),)), tmp_path / "mine.pt2")
    monkeypatch.chdir(tmp_path)
    converter_swaps(monkeypatch)
    assert "aten.sub.Tensor" in run("check/mine/forward@fp32-ios18@reference")


def test_no_such_case() -> None:
    with pytest.raises(HarnessError, match="no case"):
        run("ops/aten.tanh.default/float32/no-such@fp32-ios18@reference")
    with pytest.raises(HarnessError, match="check id"):
        run("ops/aten.tanh.default/float32/no-such")


def test_what_becomes_of_an_input_is_blamed_on_the_operator_that_takes_it() -> None:
    token = torch.tensor([30523, 7], dtype=torch.int32)  # 30523 is no float16
    built = Built(_Module(lambda _, x: torch.nn.functional.pad(x, (1, 1), value=5)), (token,), 0)
    found = localise(dataclasses.replace(CHAIN, build=lambda: built), FP16)
    assert found.node is not None
    assert found.node.target == "input"  # its cast to fp16 is the first that is wrong
    assert found.blamed == ("aten.pad.default",)


def test_fractions_where_the_graph_has_integers_are_blamed_on_the_operator_that_left_them() -> None:
    case = case_of(lambda _, x: torch.full_like(x, 2.7, dtype=torch.int32) * x, torch.tensor([1.0, 2.0]))
    assert localise(case, FP32).blamed == ("aten.full_like.default",)
