"""Each outcome a judgement can have, by one fault planted in the results of a program that is right."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import Tensor

from harness.cases.case import Built, Case
from harness.evidence.notes import Note, NoteCode
from harness.evidence.recipe import Recipe
from harness.evidence.vocabulary import Kind, Level, Outcome, Phase, ToleranceClass
from harness.lowering.lower import Lowered
from harness.lowering.program import Delegate, Input, LoweredProgram, Value
from harness.units.base import ProgramResult
from harness.verdict import budget
from harness.verdict.compare import Verdict
from harness.verdict.judge import Judgement, Question, as_tensors, judge, judge_readings, question, undocumented
from harness.verdict.oracle import InvalidCase, truth

FP32, FP16 = Recipe.parse("fp32-ios18"), Recipe.parse("fp16-ios18")
X = torch.tensor([[0.5, -1.25, 2.0], [8.0, 0.25, -3.0]])
DELEGATE = Delegate(b"", (), (), {"aten.exp.default": 1})


class Exponential(torch.nn.Module):
    """Counts its calls in a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        self.calls.add_(1)
        return torch.exp(x), x.argmax()


def asked(
    *delegates: Delegate,
    recipe: Recipe = FP32,
    module: torch.nn.Module | None = None,
    x: Tensor = X,
    whole_model: bool = False,
    mutations: tuple[tuple[Value, Value], ...] = (),
) -> Question:
    """What is asked of a program of `exp` with these delegates."""
    built = Built(module or Exponential().eval(), (x,), 0)
    case = Case(
        id="ops/exp",
        kind=Kind.OPERATOR,
        op="aten.exp.default",
        api="torch.exp",
        dtype="float32",
        origin="test",
        level=Level.SMOKE,
        build=lambda: built,
        whole_model=whole_model,
    )
    inputs = (
        Input("x", Value(0), None, "user"),
        Input("b_calls", Value(1), None, "buffer", torch.zeros(1), "calls"),
        Input("b_other", Value(2), None, "buffer", torch.zeros(1), "other"),
    )
    program = LoweredProgram(inputs, (), (), delegates, mutations)
    lowered = Lowered(program, exported_ops={"aten.exp.default": 1, "aten.argmax.default": 1})
    return question(case, built, truth(built.module, built.inputs), recipe, lowered, program)


RIGHT = (torch.exp(X), torch.tensor(3))


def wrong_at(*index: int, value: float) -> Tensor:
    changed = torch.exp(X)
    changed[index] = value
    return changed


def found(judgement: Judgement) -> tuple[Outcome, Phase, str]:
    return judgement.verdict.outcome, judgement.verdict.phase, judgement.verdict.reason


# --- the outcomes ------------------------------------------------------------------------------------------


def test_right_results_pass() -> None:
    judgement = judge(asked(DELEGATE), RIGHT, {"calls": torch.tensor([1.0])})
    assert found(judgement) == (Outcome.PASS, Phase.VALUE, "")
    assert judgement.verdict.numerics is not None
    assert all(torch.equal(a, b) for a, b in zip(judgement.outputs, RIGHT, strict=True))


@pytest.mark.parametrize(
    ("outputs", "outcome", "phase", "reason"),
    [
        ((RIGHT[0],), Outcome.WRONG_SHAPE, Phase.SHAPE, "1 outputs, expected 2"),
        ((RIGHT[0].T, RIGHT[1]), Outcome.WRONG_SHAPE, Phase.SHAPE, "output 0: shape [3, 2], expected [2, 3]"),
        ((RIGHT[0], RIGHT[1].int()), Outcome.WRONG_DTYPE, Phase.DTYPE, "output 1: dtype int32, expected int64"),
        ((wrong_at(0, 1, value=0.3), RIGHT[1]), Outcome.WRONG_VALUE, Phase.VALUE, "output 0[0, 1]: got 0.3"),
        ((wrong_at(1, 0, value=math.nan), RIGHT[1]), Outcome.OUT_OF_RANGE, Phase.VALUE, "output 0[1, 0]: got nan"),
        ((RIGHT[0], torch.tensor(2)), Outcome.WRONG_VALUE, Phase.VALUE, "output 1[]: got 2, expected 3 exactly"),
    ],
    ids=["number", "shape", "dtype", "value", "nan", "index"],
)
def test_a_planted_fault(outputs: tuple[Tensor, ...], outcome: Outcome, phase: Phase, reason: str) -> None:
    got = found(judge(asked(DELEGATE), outputs))
    assert got[:2] == (outcome, phase)
    assert got[2].startswith(reason)


def test_what_is_not_finite_is_out_of_range() -> None:
    """exp(12) is above fp16's largest value, where an infinity is right; fp32 holds it, and another value is wrong."""
    x = torch.tensor([[1.0, 12.0]])

    def outcome(recipe: Recipe, value: float) -> Outcome:
        outputs = (torch.tensor([[math.e, value]]), torch.tensor(1))
        return judge(asked(DELEGATE, recipe=recipe, x=x), outputs).verdict.outcome

    assert outcome(FP16, math.inf) is Outcome.PASS
    assert outcome(FP16, math.nan) is Outcome.OUT_OF_RANGE
    assert outcome(FP32, math.inf) is Outcome.OUT_OF_RANGE
    assert outcome(FP32, 65504.0) is Outcome.WRONG_VALUE


def test_two_answers_within_bounds_are_not_deterministic() -> None:
    near = torch.nextafter(RIGHT[0], torch.tensor(math.inf))
    judgement = judge(asked(DELEGATE), RIGHT, again=(near, RIGHT[1]))
    assert judgement.verdict.outcome is Outcome.NON_DETERMINISTIC
    assert judgement.verdict.reason.startswith("two equal predictions differ: 6 of ")
    assert torch.equal(judgement.outputs[0], near)  # it has the smaller headroom


# --- the second answer -------------------------------------------------------------------------------------


def test_the_worse_of_two_answers_rules() -> None:
    wrong = (wrong_at(0, 1, value=0.3), RIGHT[1])
    second = judge(asked(DELEGATE), RIGHT, again=wrong)
    assert second.verdict.outcome is Outcome.WRONG_VALUE
    assert torch.equal(second.outputs[0], wrong[0])
    assert second.verdict.notes[-1].code is NoteCode.NON_DETERMINISTIC
    assert str(second.verdict.notes[-1]).endswith("judged by the second, which is worse")
    first = judge(asked(DELEGATE), wrong, again=RIGHT)
    assert first.verdict.outcome is Outcome.WRONG_VALUE
    assert torch.equal(first.outputs[0], wrong[0])


def test_a_second_answer_of_the_same_values_is_none() -> None:
    judgement = judge(asked(DELEGATE), RIGHT, again=[value.clone() for value in RIGHT])
    assert (judgement.verdict.outcome, judgement.verdict.notes) == (Outcome.PASS, [])


# --- buffers -----------------------------------------------------------------------------------------------


STATEFUL = dataclasses.replace(DELEGATE, buffers=("calls",))


@pytest.mark.parametrize(
    ("buffers", "outcome", "reason"),
    [
        ({"calls": torch.tensor([1.0], dtype=torch.float16)}, Outcome.PASS, ""),
        ({"calls": torch.tensor([2.0])}, Outcome.WRONG_VALUE, "buffer calls[0]: got 2, expected 1"),
        ({"calls": torch.ones(2)}, Outcome.WRONG_SHAPE, "buffer calls: shape [2], expected [1]"),
        ({}, Outcome.WRONG_VALUE, "buffer calls: what is written to it is lost"),
        (None, Outcome.PASS, ""),  # the unit cannot tell
    ],
    ids=["right", "value", "shape", "lost", "unknown"],
)
def test_what_is_left_in_a_state(buffers: dict[str, Tensor] | None, outcome: Outcome, reason: str) -> None:
    verdict = judge(asked(STATEFUL), RIGHT, buffers).verdict
    assert verdict.outcome is outcome
    assert verdict.reason.startswith(reason)


def test_what_is_left_in_a_buffer_outside_of_delegates() -> None:
    """Only one that is written to is asked for."""
    one = asked(DELEGATE, mutations=((Value(1), Value(5)),))
    assert one.written == ("calls",)
    assert judge(one, RIGHT, {"calls": torch.tensor([1.0])}).verdict.outcome is Outcome.PASS
    assert judge(one, RIGHT, {"calls": torch.tensor([0.0])}).verdict.outcome is Outcome.WRONG_VALUE
    assert judge(asked(DELEGATE), RIGHT, {"calls": torch.tensor([0.0])}).verdict.outcome is Outcome.PASS


def test_a_wrong_result_is_told_before_a_wrong_buffer() -> None:
    verdict = judge(asked(STATEFUL), (RIGHT[0], torch.tensor(2)), {}).verdict
    assert verdict.reason.startswith("output 1")


def test_a_buffer_that_the_module_does_not_have_is_a_fault_of_the_case() -> None:
    other = dataclasses.replace(DELEGATE, buffers=("other",))
    with pytest.raises(InvalidCase, match="the module has no buffer 'other'"):
        judge(asked(other), RIGHT, {"other": torch.zeros(1)})


# --- the question ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("delegates", "recipe", "x", "precision"),
    [
        ((DELEGATE,), FP32, X, "fp32"),
        ((DELEGATE,), FP16, X, "fp16"),
        ((), FP16, X, "fp32"),  # nothing is computed in the recipe's precision
        ((STATEFUL,), FP32, X, "fp16"),  # a state is float16 in every program
        ((DELEGATE,), FP32, X.half(), "fp16"),
    ],
)
def test_the_precision_is_the_coarsest(
    delegates: tuple[Delegate, ...], recipe: Recipe, x: Tensor, precision: str
) -> None:
    assert asked(*delegates, recipe=recipe, x=x).precision == precision
    near = torch.exp(X) * (1 + 2 * 2.0**-11)  # within fp16's bound of `exp`, far outside of fp32's
    if x is X:
        outcome = Outcome.PASS if precision == "fp16" else Outcome.WRONG_VALUE
        assert judge(asked(*delegates, recipe=recipe), (near, RIGHT[1])).verdict.outcome is outcome


def test_a_whole_model_is_judged_as_its_operators_are() -> None:
    slightly = (wrong_at(0, 1, value=math.exp(-1.25) + 0.05), RIGHT[1])
    assert judge(asked(DELEGATE, recipe=FP16, whole_model=True), slightly).verdict.outcome is Outcome.WRONG_VALUE


def test_a_model_past_the_budget_is_judged_by_its_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    """An element that no operator's bound has room for is little beside the others."""
    monkeypatch.setattr(budget, "ELEMENTS", 1)
    slightly = (wrong_at(0, 1, value=math.exp(-1.25) + 0.05), RIGHT[1])
    assert asked(DELEGATE, whole_model=True).rule.cls is ToleranceClass.SQNR
    assert judge(asked(DELEGATE, recipe=FP16, whole_model=True), slightly).verdict.outcome is Outcome.PASS
    assert judge(asked(DELEGATE, recipe=FP16), slightly).verdict.outcome is Outcome.WRONG_VALUE


# --- parts -------------------------------------------------------------------------------------------------


def test_numbers_are_tensors_and_none_is_nothing() -> None:
    tensors = as_tensors([torch.ones(2), 3, None, 1.5, True])
    assert [(t.dtype, t.shape) for t in tensors] == [
        (torch.float32, (2,)),
        (torch.int64, ()),
        (torch.float32, ()),
        (torch.bool, ()),
    ]


@pytest.mark.parametrize(
    ("outcome", "phase", "code", "is_open"),
    [
        (Outcome.WRONG_VALUE, Phase.VALUE, NoteCode.UNDOCUMENTED, True),
        (Outcome.OUT_OF_RANGE, Phase.VALUE, NoteCode.UNDOCUMENTED, True),
        (Outcome.PASS, Phase.VALUE, NoteCode.UNDOCUMENTED, True),
        (Outcome.WRONG_SHAPE, Phase.SHAPE, NoteCode.UNDOCUMENTED, False),
        (Outcome.WRONG_DTYPE, Phase.DTYPE, NoteCode.UNDOCUMENTED, False),
        (Outcome.WRONG_VALUE, Phase.VALUE, NoteCode.NON_FINITE, False),
    ],
)
def test_only_a_value_is_open_where_no_documentation_settles_it(
    outcome: Outcome, phase: Phase, code: NoteCode, is_open: bool
) -> None:
    note = Note(code, "x / 0 is said nowhere")
    assert undocumented(Verdict(outcome, phase, reason="got 1"), [note]) == (note if is_open else None)


def test_of_several_readings_the_most_favourable_is_judged() -> None:
    one = asked()
    wrong, none = ProgramResult([wrong_at(0, 0, value=9.0), RIGHT[1]]), [ProgramResult(list(RIGHT))]
    assert judge_readings(one, wrong, none, []).verdict.outcome is Outcome.PASS
    assert judge_readings(one, wrong, [wrong, wrong], [wrong]).verdict.outcome is Outcome.WRONG_VALUE
    elsewhere = ProgramResult([wrong_at(1, 1, value=9.0), RIGHT[1]])
    assert judge_readings(one, wrong, [], [elsewhere]).verdict.outcome is Outcome.PASS


class ByDtype(torch.nn.Module):
    """Adds a number that the dtype decides, as a kernel of one dtype or an epsilon of the format does."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.exp(x) + torch.finfo(x.dtype).bits


class Unsettled(torch.nn.Module):
    """What the last offset of a bag leaves out is undefined: eager's kernels of float32 and float64 differ."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.weight = torch.nn.Parameter(torch.rand(4, 3, generator=generator))

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight + x.sum()
        offsets = torch.tensor([0, 2])
        return torch.nn.functional.embedding_bag(
            torch.arange(4), weight, offsets, mode="mean", include_last_offset=True
        )


@pytest.mark.parametrize("recipe", [FP32, FP16], ids=str)
@pytest.mark.parametrize("module", [ByDtype(), Unsettled()], ids=lambda m: type(m).__name__)
def test_what_eager_gives_in_the_users_dtype_is_right_where_float64_is_another_program(
    module: torch.nn.Module, recipe: Recipe
) -> None:
    question = asked(recipe=recipe, module=module)
    eager = module(X).detach()
    if eager.allclose(module.double()(X.double()).float()):
        pytest.skip("these kernels agree here")
    module.float()
    verdict = judge(question, [eager]).verdict
    assert verdict.outcome is Outcome.PASS
    assert any(note.code is NoteCode.TRUTH and "float64 gives another result" in note.detail for note in verdict.notes)
    assert judge(question, [eager * 1.01]).verdict.outcome is Outcome.WRONG_VALUE


def test_what_agrees_with_float64_needs_no_other_truth() -> None:
    verdict = judge(asked(module=ByDtype()), [(torch.exp(X.double()) + 64).float()]).verdict
    assert verdict.outcome is Outcome.PASS
    assert not verdict.notes


class Cancelling(torch.nn.Module):
    """Eager in float32 is far off, and no further than its roundings explain."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.exp(x + 1e4 - 1e4) - torch.exp(x)


def test_rounding_of_eager_is_no_other_program() -> None:
    question = asked(module=Cancelling())
    eager = Cancelling()(X)
    assert judge(question, [eager]).verdict.outcome is Outcome.PASS
    wrong = judge(question, [eager + 50]).verdict
    assert wrong.outcome is Outcome.WRONG_VALUE
    assert not wrong.notes
