"""Every form in which a user may give a module, through the corridor in both precisions."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from harness.cases.case import Case
from harness.cases.user_forms import built_of
from harness.check import Checker
from harness.evidence.check import Check
from harness.evidence.record import Record
from harness.evidence.vocabulary import Kind, Level, Outcome, Phase
from harness.lowering import speedups
from harness.lowering.cache import LoweringCache
from harness.units.base import ProgramResult
from harness.units.reference import ReferenceUnit

RECIPES = ("fp32-ios18", "fp16-ios18")
Dim = torch.export.Dim


@pytest.fixture(scope="module", autouse=True)
def _measuring() -> None:
    torch.set_num_threads(1)
    import executorch.backends.apple.coreml.partition  # noqa: F401

    speedups.enable()


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """The measured packages log every node they look at."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


class Call(nn.Module):
    """A module that calls a function."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)


class Named(nn.Module):
    def forward(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        return left * right + 1


class Total(nn.Module):
    """Adds what it is given to a buffer, and gives it twice."""

    def __init__(self, scale: float = 2.0) -> None:
        super().__init__()
        self.scale = scale
        self.register_buffer("total", torch.zeros(2, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.total.add_(x)
        return self.total * self.scale


def case_of(make: Callable[[], object]) -> Case:
    def build() -> Any:
        torch.manual_seed(0)
        return built_of(make(), "mine.py::f", 0)

    return Case(
        id="check/mine/f",
        kind=Kind.USER,
        op="check.f",
        api="f",
        dtype="mixed",
        origin="user file",
        level=Level.SMOKE,
        build=build,
        whole_model=True,
        named=False,
    )


def records(make: Callable[[], object], cache: LoweringCache | None = None) -> list[Record]:
    checker, case = Checker(cache=cache), case_of(make)
    return [checker.check(Check.of(case, recipe, "reference")) for recipe in RECIPES]


def quantized_by_torchao(**config: Any) -> nn.Module:
    from torchao.quantization.quant_api import IntxWeightOnlyConfig, quantize_

    module = nn.Sequential(nn.Linear(64, 64))
    quantize_(module, IntxWeightOnlyConfig(**config))
    return module


def int4_groups() -> nn.Module:
    from torchao.quantization.granularity import PerGroup

    return quantized_by_torchao(weight_dtype=torch.int4, granularity=PerGroup(32))


def int8_axis() -> nn.Module:
    from torchao.quantization.granularity import PerAxis

    return quantized_by_torchao(weight_dtype=torch.int8, granularity=PerAxis(0))


class Quantized(nn.Module):
    """What converting a PT2E module makes of `linear(x).relu()`; the real quantizer takes a minute."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weight", torch.randint(-127, 128, (4, 8), dtype=torch.int8))
        self.register_buffer("scale", torch.full((4,), 0.01))
        self.register_buffer("zero", torch.zeros(4, dtype=torch.int64))
        self.bias = nn.Parameter(torch.randn(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        ops = torch.ops.quantized_decomposed
        weight = ops.dequantize_per_channel(self.weight, self.scale, self.zero, 0, -127, 127, torch.int8)
        return nn.functional.linear(x, weight, self.bias).relu()


def pt2e() -> nn.Module:
    import torch.ao.quantization.fx._decomposed

    return exported(Quantized(), torch.ones(2, 8)).module()


def exported(module: nn.Module, *inputs: Any, **options: Any) -> torch.export.ExportedProgram:
    return torch.export.export(module, inputs, **options)


def attend(query: torch.Tensor, *, keys: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    scores = query @ keys.transpose(-1, -2)
    return torch.softmax(scores if mask is None else scores + mask, -1)


X = torch.linspace(-1, 1, 12).reshape(3, 4)
BATCH = {"dynamic_shapes": ({0: Dim("batch", min=2, max=16)},)}


PASSES: dict[str, Callable[[], object]] = {
    # nested
    "state of an lstm": lambda: (
        nn.LSTM(4, 5, batch_first=True),
        (torch.randn(1, 3, 4), (torch.randn(1, 1, 5), torch.randn(1, 1, 5))),
    ),
    "dict in a tuple": lambda: (Call(lambda d: d["a"] * d["b"][0]), ({"b": [X], "a": X},)),
    "list of tensors": lambda: (Call(lambda xs: torch.cat(xs, -1) * 2), ([X, X + 1, X],)),
    "empty parts": lambda: (Call(lambda a, b, c: a * len(b) + len(c) + 1), (X, [], {})),
    # numbers and None
    "int": lambda: (Call(lambda x, n: x * n), (X, 3)),
    "float": lambda: (Call(lambda x, s: (x * s).tanh()), (X, 0.25)),
    "bool that branches": lambda: (Call(lambda x, flag: x.sin() if flag else x.cos()), (X, False)),
    "None": lambda: (Call(lambda x, mask: x * 2 if mask is None else x * mask), (X, None)),
    "numbers in a list": lambda: (Call(lambda x, shape: x.reshape(shape) + 1), (X, [2, 6])),
    "text": lambda: (Call(lambda x, how: getattr(torch, how)(x)), (X, "tanh")),
    # keywords
    "keywords": lambda: (Call(attend), {"query": X, "keys": X * 2}),
    "keywords in another order": lambda: (Call(lambda a=None, b=None: a.float() - b), {"b": X, "a": torch.arange(4)}),
    "keywords beside others": lambda: (Call(attend), (X,), {"kwargs": {"mask": torch.zeros(3, 3), "keys": X}}),
    "keyword numbers": lambda: (Call(lambda x, *, by, plus=None: x * by), {"x": X, "plus": None, "by": 2}),
    # results
    "number among results": lambda: (Call(lambda x: (x * 2, x.shape[0], None)), (X,)),
    "numbers of all kinds": lambda: (Call(lambda x: {"a": x * 2, "b": (1.5, True, None), "c": -3}), (X,)),
    "nested results": lambda: (Call(lambda x: (x * 2, [x + 1, {"z": x - 1, "a": x * 3}])), (X,)),
    # sizes
    "batch": lambda: (nn.Linear(4, 3), torch.randn(5, 4), {**BATCH, "calls": [torch.randn(2, 4), torch.randn(16, 4)]}),
    "length of a signal": lambda: (
        nn.Conv1d(2, 3, 3),
        (torch.randn(1, 2, 9),),
        {"dynamic_shapes": ({2: Dim("length", min=5, max=32)},), "calls": [torch.ones(1, 2, 32), torch.ones(1, 2, 5)]},
    ),
    "by the name of a keyword": lambda: (
        Named(),
        {"left": torch.randn(3, 4), "right": torch.randn(3, 4)},
        {
            "dynamic_shapes": {name: {0: Dim("batch", min=2, max=8)} for name in ("left", "right")},
            "calls": [{"right": torch.randn(7, 4), "left": torch.randn(7, 4)}],
        },
    ),
    "same size again": lambda: (nn.Linear(4, 3), (X,), {"calls": [X + 1, (X - 1,)]}),
    # exported
    "exported program": lambda: (exported(nn.Linear(4, 3), X), (X,)),
    "exported module": lambda: (exported(nn.Linear(4, 3), X).module(), (X,)),
    "exported module inside": lambda: (nn.Sequential(exported(nn.Linear(4, 3), X).module(), nn.Dropout()), (X,)),
    "exported with sizes": lambda: (exported(nn.Linear(4, 3), X, **BATCH), (X,), {"calls": [torch.randn(9, 4)]}),
    "exported with a constant": lambda: (exported(Call(lambda x, n: x * n), X, 3), (X, 3)),
    # quantized
    "torchao int4 by groups": lambda: (int4_groups(), (torch.randn(1, 64),)),
    "torchao int8 by axis": lambda: (int8_axis(), (torch.randn(1, 64),)),
    "torchao exported": lambda: (exported(int8_axis(), torch.ones(1, 64)), (torch.randn(1, 64),)),
    "pt2e": lambda: (pt2e(), torch.randn(2, 8)),
    # state
    "state": lambda: (Total(), (torch.randn(2, 3),), {"calls": [torch.randn(2, 3), torch.randn(2, 3)]}),
    # methods
    "methods": lambda: (
        nn.Linear(4, 4),
        (torch.randn(1, 4),),
        {"methods": {"prefill": (nn.Sequential(nn.Linear(4, 4), nn.ReLU()), (torch.randn(8, 4),))}},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PASSES)
def test_a_form_passes(name: str, tmp_path: Path) -> None:
    for record in records(PASSES[name], LoweringCache(tmp_path)):
        assert record.outcome is Outcome.PASS, (record.recipe, record.reason, record.error)
        assert record.delegated


OTHERWISE: dict[str, tuple[Callable[[], object], Outcome, Phase, str]] = {
    "branch on data": (
        lambda: (Call(lambda x: torch.cond(x.sum() > 0, lambda t: t + 1, lambda t: t - 1, (x,))), (X,)),
        Outcome.UNSUPPORTED, Phase.EDGE, "",
    ),
    "branch in a branch": (
        lambda: (
            Call(lambda x: torch.cond(
                x.sum() > 0,
                lambda t: torch.cond(t.max() > 1, lambda s: s * 2, lambda s: s * 3, (t,)),
                lambda t: t - 1,
                (x,),
            )),
            (X,),
        ),
        Outcome.UNSUPPORTED, Phase.EDGE, "",
    ),
    "loop": (
        lambda: (Call(lambda x: torch.while_loop(lambda t: t.sum() < 99, lambda t: (t * 2,), (x.abs() + 1,))), (X,)),
        Outcome.UNSUPPORTED, Phase.EDGE, "",
    ),
    "exported branch": (
        lambda: (
            exported(Call(lambda x: torch.cond(x.sum() > 0, lambda t: t + 1, lambda t: t - 1, (x,))), X).module(), (X,)
        ),
        Outcome.UNSUPPORTED, Phase.EDGE, "",
    ),
    "left to ExecuTorch": (
        lambda: (
            nn.Sequential(nn.Linear(4, 4), nn.ReLU()),
            (X,),
            {"partitioner": {"skip_ops_for_coreml_delegation": ["aten.relu.default"]}},
        ),
        Outcome.PARTIAL, Phase.VALUE, "",
    ),
    "changes its input": (
        lambda: (Call(lambda x: x.add_(1) * 2), (X.clone(),)),
        Outcome.INVALID_CASE, Phase.EAGER, "the module changes its own input *args[0] in place",
    ),
    "changes a view of a keyword": (
        lambda: (Call(lambda x, *, y: x + y["h"][0].zero_()), (X,), {"kwargs": {"y": {"h": X.clone()}}}),
        Outcome.INVALID_CASE, Phase.EAGER, "the module changes its own input **kwargs['y']['h'] in place",
    ),
    "method that changes its input": (
        lambda: (nn.ReLU(), (X,), {"methods": {"other": (Call(lambda x: x.mul_(2)), (X.clone(),))}}),
        Outcome.INVALID_CASE, Phase.EAGER, "method other: the module changes its own input *args[0] in place",
    ),
    "call of another size": (
        lambda: (nn.Linear(4, 3), (X,), {"calls": [torch.randn(2, 4)]}),
        Outcome.INVALID_CASE, Phase.EXPORT, "calls[0]: Expected input at *args[0].shape[0] to be equal to 3, but got 2",
    ),
    "call out of range": (
        lambda: (nn.Linear(4, 3), (X,), {**BATCH, "calls": [X, torch.randn(17, 4)]}),
        Outcome.INVALID_CASE, Phase.EXPORT, "calls[1]: Expected input at *args[0].shape[0] to be <= 16, but got 17",
    ),
    "call with another number": (
        lambda: (Call(lambda x, n: x * n), (X, 3), {"calls": [(X, 4)]}),
        Outcome.INVALID_CASE, Phase.EXPORT, "calls[0]: Expected input at *args[1] to be equal to 3, but got 4",
    ),
    "call of another dtype": (
        lambda: (Call(lambda x: x * 2), (X,), {"calls": [X.int()]}),
        Outcome.INVALID_CASE, Phase.EXPORT, "calls[0]: the input at *args[0] is of torch.int32, the program takes",
    ),
    "call that eager refuses": (
        lambda: (nn.Linear(4, 3), (X,), {"calls": [torch.randn(3, 5)]}),
        Outcome.INVALID_CASE, Phase.EAGER, "calls[0]: eager fails: RuntimeError: mat1 and mat2",
    ),
    "sizes that export refuses": (
        lambda: (Call(lambda x: x.reshape(3, 4) * 2), (X,), {"dynamic_shapes": (({0: Dim("batch")},),)}),
        Outcome.UNSUPPORTED, Phase.EXPORT, "",
    ),
    "result that is nothing to compare": (
        lambda: (Call(lambda x: (x * 2, "text")), (X,)),
        Outcome.INVALID_CASE, Phase.EAGER, "a result is no tensor: result 1: str",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERWISE)
def test_a_form_that_does_not_pass_says_why(name: str) -> None:
    make, outcome, phase, says = OTHERWISE[name]
    for record in records(make):
        assert (record.outcome, record.phase) == (outcome, phase), (record.recipe, record.reason, record.error)
        assert record.reason.startswith(says)


# Planted faults: what a unit gives is changed on its way to the judge.


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[ProgramResult], object]], None]:
    def plant(change: Callable[[ProgramResult], object]) -> None:
        run = ReferenceUnit.run

        def changed(self: ReferenceUnit, *args: Any, **options: Any) -> ProgramResult:
            result = run(self, *args, **options)
            change(result)
            return result

        monkeypatch.setattr(ReferenceUnit, "run", changed)

    return plant


def test_each_call_is_judged(planted: Callable[..., None]) -> None:
    planted(lambda result: result.then[1].outputs.__setitem__(0, result.then[0].outputs[0]))
    for record in records(lambda: (nn.Linear(4, 3), (X,), {"calls": [X + 1, X - 1]})):
        assert record.outcome is Outcome.WRONG_VALUE
        assert record.reason.startswith("calls[1]: output 0")
        assert record.error is not None
        assert record.error.message == record.reason


def test_a_state_is_judged_after_each_call(planted: Callable[..., None]) -> None:
    planted(lambda result: result.then[0].buffers.__setitem__("total", result.buffers["total"]))
    for record in records(lambda: (Total(), (torch.randn(2, 3),), {"calls": [torch.randn(2, 3)]})):
        assert record.outcome is Outcome.WRONG_VALUE
        assert record.reason.startswith("calls[0]: buffer total")


@pytest.mark.parametrize("number", [4, 3.0, True, None])
def test_a_number_among_results_is_compared(planted: Callable[..., None], number: object) -> None:
    planted(lambda result: result.outputs.__setitem__(1, number))
    for record in records(lambda: (Call(lambda x: (x * 2, x.shape[0], None)), (X,))):
        assert record.outcome in (Outcome.WRONG_VALUE, Outcome.WRONG_DTYPE, Outcome.WRONG_SHAPE)


def test_each_method_is_judged_and_counted(planted: Callable[..., None]) -> None:
    make = PASSES["methods"]
    right = records(make)
    assert right[0].delegated == {"aten.linear.default": 2, "aten.relu.default": 1}
    planted(lambda r: r.outputs.__setitem__(0, r.outputs[0] + (1 if r.outputs[0].shape[0] == 8 else 0)))
    for record in records(make):
        assert record.outcome is Outcome.WRONG_VALUE
        assert record.reason.startswith("method prefill: output 0")


def test_a_call_that_raises_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.units.reference import OpenReference, PredictFailed

    predict, calls = OpenReference.predict, []

    def failing(self: OpenReference, inputs: Any, second: Any = None) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise PredictFailed("planted")
        return predict(self, inputs, second)

    monkeypatch.setattr(OpenReference, "predict", failing)
    record = records(lambda: (nn.Linear(4, 3), (X,), {"calls": [X]}))[0]
    assert (record.outcome, record.phase) == (Outcome.RUN_ERROR, Phase.RUN)
    assert record.error is not None
    assert record.error.message == "calls[0]: planted"


def test_other_options_are_another_entry_of_the_cache(tmp_path: Path) -> None:
    cache = LoweringCache(tmp_path)
    plain = (nn.Sequential(nn.Linear(4, 4), nn.ReLU()), (X,))
    skipping = (*plain, {"partitioner": {"skip_ops_for_coreml_delegation": ["aten.relu.default"]}})
    assert records(lambda: plain, cache)[0].outcome is Outcome.PASS
    assert records(lambda: skipping, cache)[0].outcome is Outcome.PARTIAL


def test_weights_of_quantized_modules_are_told_apart_by_the_cache(tmp_path: Path) -> None:
    cache = LoweringCache(tmp_path)
    one = int8_axis()
    other = int8_axis()
    found = [records(lambda m=m: (m, (torch.ones(1, 64),)), cache)[0] for m in (one, other, one)]
    assert [record.outcome for record in found] == [Outcome.PASS] * 3
    assert len(list(tmp_path.glob("??/*"))) == 4  # two modules, two precisions


def test_what_a_case_of_a_suite_does_to_its_inputs_is_its_own_affair() -> None:
    case = replace(case_of(lambda: (Call(lambda x: x.add_(1) * 2), (X.clone(),))), kind=Kind.OPERATOR)
    assert Checker().check(Check.of(case, RECIPES[0], "reference")).outcome is not Outcome.INVALID_CASE
