"""Where a wrong answer arose: units that answer wrongly, in two ways or not at all, with programs really lowered."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

import harness.check as corridor
import harness.units.whole_program as whole_program
from harness.cases.case import Built, Case
from harness.check import Checker
from harness.evidence.check import Check
from harness.evidence.notes import Note, NoteCode
from harness.evidence.recipe import Recipe
from harness.evidence.record import Record
from harness.evidence.unit import UnitSpec
from harness.evidence.vocabulary import Kind, Level, Outcome, Phase
from harness.lowering import speedups
from harness.lowering.program import UnpackedDelegate
from harness.units.base import LoadFailed, NotRunnable, PredictFailed, Prediction
from harness.units.reference import OpenReference, ReferenceUnit
from harness.units.whole_program import DelegateUnit
from harness.verdict.difference import Difference
from harness.verdict.stage import RIGHT_WHEN_WIDENED, STILL_WRONG, beside, stage_of

FP32, FP16 = Recipe.parse("fp32-ios18"), Recipe.parse("fp16-ios18")
X = torch.tensor([0.5, 1.0, 2.0])
Change = Callable[[np.ndarray], np.ndarray]


@pytest.fixture(scope="module", autouse=True)
def _measuring() -> None:
    torch.set_num_threads(1)
    speedups.enable()


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


class Opened:
    """The reference executor's answers, changed; those of the second prediction in a way of their own."""

    def __init__(self, inner: OpenReference, unit: Unit) -> None:
        self._inner, self._unit = inner, unit
        self.features, self.mil_ops = inner.features, inner.mil_ops
        self.placement: dict[str, Any] = {}
        self.aten_placement: dict[str, Any] = {}

    def plan(self) -> list[Note]:
        return []

    def predict(self, inputs: list[np.ndarray], second: list[np.ndarray] | None = None) -> Prediction:
        if self._unit.fails_to_predict:
            raise PredictFailed("planted: cannot evaluate")
        right = self._inner.predict(inputs, second)
        first = [self._unit.first(array.copy()) for array in right.outputs]
        again = [self._unit.second(array.copy()) for array in right.again or right.outputs]
        same = all(a.tobytes() == b.tobytes() for a, b in zip(first, again, strict=True))
        return Prediction(first, again=None if same else again)

    def read_state(self) -> dict[str, np.ndarray]:
        return self._inner.read_state()

    def close(self) -> None:
        self._inner.close()


class Unit(DelegateUnit):
    """A unit of Core ML on any system. What it is wrong in is planted."""

    unit = UnitSpec.parse("cpu_only")

    def __init__(
        self,
        first: Change = lambda array: array,
        second: Change | None = None,
        *,
        fails_to_load: bool = False,
        fails_to_predict: bool = False,
    ) -> None:
        self.first, self.second = first, second or first
        self.fails_to_load, self.fails_to_predict = fails_to_load, fails_to_predict

    def unavailable(self, target: str) -> str | None:
        return None

    def open(self, delegate: UnpackedDelegate) -> Opened:
        if self.fails_to_load:
            raise LoadFailed("planted: error in declaring network")
        return Opened(ReferenceUnit().open(delegate), self)


class Function(torch.nn.Module):
    def __init__(self, function: Callable[..., object]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *tensors: torch.Tensor) -> object:
        return self.function(*tensors)


class Total(torch.nn.Module):
    """A state of Core ML begins at zero, whatever the buffer held: a defect of the lowering when it held ones."""

    def __init__(self, start: float) -> None:
        super().__init__()
        self.register_buffer("total", torch.full((3,), start))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.total.add_(x)
        return self.total * 2


def case_of(module: torch.nn.Module | Callable[..., object], *inputs: torch.Tensor, model: bool = False) -> Case:
    def build() -> Built:
        made = module if isinstance(module, torch.nn.Module) else Function(module)
        return Built(made.eval(), inputs or (X,), 7)

    return Case(
        id="check/tests/made",
        kind=Kind.OPERATOR,
        op="aten.mul.Tensor",
        api="made",
        dtype="float32",
        origin="tests",
        level=Level.SMOKE,
        build=build,
        whole_model=model,
    )


def check_on(unit: Any, case: Case, recipe: Recipe = FP16, name: str = "cpu_only") -> Record:
    checker = Checker()
    checker._units[UnitSpec.parse(name)] = unit
    return checker.check(Check.of(case, recipe, name))


def partly(x: torch.Tensor) -> torch.Tensor:
    """`asinh` is none of Core ML's: a delegate before it, a delegate after it."""
    return torch.asinh(x * 2) * 3


def precise(x: torch.Tensor) -> torch.Tensor:
    """The product leaves the range of fp16 at 1000."""
    return (x * x) / x


THOUSAND = torch.full((3,), 1000.0)
RIGHT = lambda array: array  # noqa: E731
OFF = lambda array: array + array.dtype.type(1)  # noqa: E731
NOT_A_NUMBER = lambda array: array * array.dtype.type(math.nan)  # noqa: E731
SLIGHTLY = lambda array: array * array.dtype.type(1.0005)  # noqa: E731


# --- a program that is right --------------------------------------------------------------------------------


def test_a_unit_that_is_right_is_held_against_the_reference_too() -> None:
    record = check_on(Unit(), case_of(partly))
    assert (record.outcome, record.stage) == (Outcome.PARTIAL, "")
    assert record.against_reference == {"outcome": "partial", "equal": True}
    near = check_on(Unit(SLIGHTLY), case_of(partly))
    assert (near.outcome, near.stage) == (Outcome.PARTIAL, "")
    assert near.against_reference["outcome"] == "partial"
    assert near.against_reference["equal"] is False
    assert 0 < near.against_reference["max_ulp"] < 5
    assert Record.from_json(near.to_json()).to_line() == near.to_line()


@pytest.mark.parametrize(
    ("unit", "outcome", "phase"),
    [
        (Unit(OFF), Outcome.WRONG_VALUE, Phase.VALUE),
        (Unit(NOT_A_NUMBER), Outcome.OUT_OF_RANGE, Phase.VALUE),
        (Unit(lambda array: array[:2]), Outcome.WRONG_SHAPE, Phase.SHAPE),
        (Unit(fails_to_load=True), Outcome.LOAD_ERROR, Phase.LOAD),
        (Unit(fails_to_predict=True), Outcome.RUN_ERROR, Phase.RUN),
    ],
)
def test_what_the_unit_alone_gets_wrong_is_the_runtimes(unit: Unit, outcome: Outcome, phase: Phase) -> None:
    record = check_on(unit, case_of(lambda x: x * 2))
    assert (record.outcome, record.phase, record.stage) == (outcome, phase, "runtime")
    assert record.against_reference["outcome"] == "pass"
    assert RIGHT_WHEN_WIDENED not in record.notes
    assert STILL_WRONG not in record.notes


def test_two_answers_within_bounds_are_a_finding_of_their_own() -> None:
    record = check_on(Unit(RIGHT, SLIGHTLY), case_of(partly))
    assert (record.outcome, record.phase, record.stage) == (Outcome.NON_DETERMINISTIC, Phase.VALUE, "runtime")
    assert record.reason.startswith("two equal predictions differ: 3 of 3 elements differ, by 0.0")
    assert record.reason.endswith("first in output 0; each within bounds")
    assert record.error is not None
    assert record.error.signature == "non_deterministic"
    assert record.numerics is not None
    assert record.numerics.headroom is not None
    assert record.numerics.headroom >= 1


@pytest.mark.parametrize(
    ("first", "second", "outcome", "judged_by_second"),
    [
        (RIGHT, OFF, Outcome.WRONG_VALUE, True),
        (OFF, RIGHT, Outcome.WRONG_VALUE, False),
        (RIGHT, NOT_A_NUMBER, Outcome.OUT_OF_RANGE, True),
        (NOT_A_NUMBER, OFF, Outcome.WRONG_VALUE, True),
    ],
)
def test_of_two_answers_the_worse_is_judged(
    first: Change, second: Change, outcome: Outcome, judged_by_second: bool
) -> None:
    record = check_on(Unit(first, second), case_of(lambda x: x * 2))
    assert (record.outcome, record.stage) == (outcome, "runtime")
    (note,) = [note for note in record.notes if note.code is NoteCode.NON_DETERMINISTIC]
    assert str(note).startswith("two equal predictions differ")
    assert ("judged by the second" in str(note)) is judged_by_second
    assert record.against_reference["equal"] is False


def test_a_program_with_state_answers_equal_questions_alike() -> None:
    record = check_on(Unit(), case_of(Total(0.0)))
    assert "read_state" in record.mil_ops
    assert (record.outcome, record.against_reference) == (Outcome.PASS, {"outcome": "pass", "equal": True})


# --- a program that is wrong --------------------------------------------------------------------------------


def test_what_the_reference_gets_wrong_as_well_is_the_lowerings() -> None:
    record = check_on(Unit(), case_of(Total(1.0)), FP32)
    assert (record.outcome, record.stage) == (Outcome.WRONG_VALUE, "lowering")
    assert record.against_reference == {"outcome": "wrong_value", "equal": True}
    assert STILL_WRONG in record.notes


def test_what_is_right_with_every_float_widened_is_a_matter_of_precision() -> None:
    record = check_on(Unit(), case_of(precise, THOUSAND))
    assert (record.outcome, record.stage) == (Outcome.OUT_OF_RANGE, "precision")
    assert record.against_reference == {"outcome": "out_of_range", "equal": True}
    assert RIGHT_WHEN_WIDENED in record.notes


def test_a_unit_that_computes_wider_than_the_recipe_is_right() -> None:
    record = check_on(Unit(lambda array: np.full_like(array, 1000.0)), case_of(precise, THOUSAND))
    assert (record.outcome, record.stage) == (Outcome.PASS, "")
    assert record.against_reference["outcome"] == "out_of_range"


@pytest.mark.parametrize(
    ("unit", "outcome"),
    [
        (Unit(NOT_A_NUMBER), Outcome.OUT_OF_RANGE),
        (Unit(fails_to_load=True), Outcome.LOAD_ERROR),
        (Unit(fails_to_predict=True), Outcome.RUN_ERROR),
        (Unit(RIGHT, NOT_A_NUMBER), Outcome.WRONG_VALUE),
    ],
)
def test_a_wrong_program_hides_nothing_of_what_the_unit_adds(unit: Unit, outcome: Outcome) -> None:
    """NaN where the reference has numbers, or no answer at all, is nothing a wrong program explains."""
    record = check_on(unit, case_of(Total(1.0)), FP32)
    assert record.outcome is outcome
    if unit.second is NOT_A_NUMBER and unit.first is RIGHT:  # the first answer rules, and that one is the program's
        assert record.stage == "lowering"
        (note,) = [note for note in record.notes if note.code is NoteCode.NON_DETERMINISTIC]
        assert str(note).startswith("two equal predictions differ")
    else:
        assert record.stage == "runtime"


def test_out_of_range_because_it_is_wrong_is_wrong_on_every_unit() -> None:
    """As the record of the reference says: the same entry of the known issues is for both."""
    wrong = lambda outcome: Record("c", "r", "reference", outcome, Phase.VALUE, notes=[STILL_WRONG])  # noqa: E731
    unit = wrong(Outcome.OUT_OF_RANGE).with_(unit="cpu_only", notes=[])
    record = beside(unit, [torch.tensor(math.inf)], wrong(Outcome.WRONG_VALUE), [torch.tensor(math.inf)], "fp16")
    assert (record.outcome, record.stage, record.notes) == (Outcome.WRONG_VALUE, "lowering", [STILL_WRONG])
    assert record.error is not None
    assert record.error.signature == "wrong_value"


# --- a reference that cannot tell ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (NotRunnable("no kernel for MIL tanh"), "no kernel for MIL tanh"),
        (KeyError("planted"), "the reference executor failed: KeyError: 'planted'"),
    ],
)
def test_without_the_reference_there_is_no_stage(
    monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str
) -> None:
    class Missing(ReferenceUnit):
        def open(self, delegate: UnpackedDelegate) -> OpenReference:
            raise error

    monkeypatch.setattr(corridor, "ReferenceUnit", Missing)
    record = check_on(Unit(OFF), case_of(lambda x: x * 2))
    assert (record.outcome, record.stage) == (Outcome.WRONG_VALUE, "")
    assert record.against_reference == {"outcome": "not_run", "reason": reason}


def test_undocumented_semantics_are_nobodys_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    class Open(OpenReference):
        def predict(self, inputs: list[np.ndarray], second: list[np.ndarray] | None = None) -> Prediction:
            right = super().predict(inputs, second)
            note = Note(NoteCode.UNDOCUMENTED, "undocumented semantics: topk: order of ties")
            guess = OFF if not self._how["reading"] else np.asarray
            return Prediction([guess(a) for a in right.outputs], [note])

    class Guessing(ReferenceUnit):
        def open(self, delegate: UnpackedDelegate) -> OpenReference:
            opened = super().open(delegate)
            opened.__class__ = Open
            return opened

    monkeypatch.setattr(corridor, "ReferenceUnit", Guessing)
    record = check_on(Unit(OFF), case_of(lambda x: x * 2))
    assert (record.outcome, record.stage) == (Outcome.WRONG_VALUE, "")
    assert record.against_reference["outcome"] == "not_run"


# --- what it costs ------------------------------------------------------------------------------------------


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The units programs were run on."""
    seen: list[str] = []
    right = whole_program.run_program

    def counted(program: Any, unit: Any, *arguments: Any, **options: Any) -> Any:
        seen.append(str(unit.unit))
        return right(program, unit, *arguments, **options)

    monkeypatch.setattr(whole_program, "run_program", counted)
    return seen


def test_the_reference_runs_once_for_all_units_of_a_case(runs: list[str]) -> None:
    case, checker = case_of(lambda x: x * 2), Checker()
    for name in ("cpu_only", "cpu_and_ne", "all"):
        checker._units[UnitSpec.parse(name)] = Unit()
        assert checker.check(Check.of(case, FP16, name)).against_reference["equal"] is True
    assert runs == ["cpu_only", "reference", "cpu_only", "cpu_only"]
    runs.clear()
    checker.check(Check.of(case, FP32, "reference"))
    assert checker.check(Check.of(case, FP32, "cpu_only")).against_reference["equal"] is True
    assert runs == ["reference", "cpu_only"]


def test_a_whole_model_is_held_against_the_reference_as_well() -> None:
    case = case_of(lambda x: x * 2, model=True)
    right, wrong = check_on(Unit(), case), check_on(Unit(OFF), case)
    assert (right.outcome, right.against_reference) == (Outcome.PASS, {"outcome": "pass", "equal": True})
    assert (wrong.outcome, wrong.stage) == (Outcome.WRONG_VALUE, "runtime")


def test_what_runs_after_the_unit_is_not_in_the_units_phase() -> None:
    phases: list[Phase] = []
    checker = Checker()
    checker._units[UnitSpec.parse("cpu_only")] = Unit()
    checker.check(Check.of(case_of(lambda x: x * 2), FP16, "cpu_only"), phases.append)
    assert phases[-4:] == [Phase.LOAD, Phase.PLAN, Phase.RUN, Phase.VALUE]


def test_the_records_of_the_reference_say_nothing_of_it() -> None:
    record = Checker().check(Check.of(case_of(Total(1.0)), FP32, "reference"))
    assert record.outcome is Outcome.WRONG_VALUE
    assert (record.stage, record.against_reference) == ("", {})


def test_executorchs_own_kernels_are_held_against_eager_too() -> None:
    record = Checker().check(Check.of(case_of(lambda x: x.asinh()), FP32, "executorch"))
    assert record.outcome is Outcome.FALLBACK
    assert record.against_reference["outcome"] == "fallback"


# --- the rule -----------------------------------------------------------------------------------------------

APART = Difference(1, 3, 0.5, 2.0, "", 0)
STRANGE = Difference(1, 3, 0.0, 0.0, "output 0[0]: nan against 1.0 (1 of 3 elements)", 0)


@pytest.mark.parametrize(
    ("outcome", "reference", "note", "apart", "stage"),
    [
        ("pass", "wrong_value", STILL_WRONG, APART, ""),
        ("wrong_value", "pass", None, APART, "runtime"),
        ("wrong_value", "fallback", None, APART, "runtime"),
        ("wrong_value", "wrong_value", STILL_WRONG, APART, "lowering"),
        ("wrong_value", "wrong_value", STILL_WRONG, STRANGE, "runtime"),
        ("out_of_range", "wrong_value", RIGHT_WHEN_WIDENED, STRANGE, "precision"),
        ("wrong_shape", "wrong_shape", None, Difference(), "lowering"),
        ("invalid_program", "invalid_program", None, None, "lowering"),
        ("invalid_program", "wrong_value", STILL_WRONG, None, "runtime"),
        ("load_error", "invalid_program", None, None, "lowering"),
        ("load_error", "run_error", None, None, "lowering"),
        ("crash", "wrong_dtype", None, None, "runtime"),
        ("non_deterministic", "wrong_value", STILL_WRONG, APART, "runtime"),
        ("wrong_value", "not_run", None, None, ""),
    ],
)
def test_the_stage(outcome: str, reference: str, note: Note | None, apart: Difference | None, stage: str) -> None:
    unit = Record("c", "r", "cpu_only", Outcome(outcome), Phase.VALUE)
    told = Record("c", "r", "reference", Outcome(reference), Phase.VALUE, notes=[note] if note else [])
    assert stage_of(unit, told, apart) == stage


@pytest.mark.parametrize(
    ("outcome", "stage"),
    [("load_error", "lowering"), ("crash", "lowering"), ("pass", ""), ("wrong_value", ""), ("out_of_range", "")],
)
def test_what_a_rule_of_the_loader_kept_from_the_reference(outcome: str, stage: str) -> None:
    """Where the unit loads the program all the same the rule is wrong, and the reference has said nothing."""
    unit = Record("c", "r", "cpu_only", Outcome(outcome), Phase.VALUE)
    told = Record("c", "r", "reference", Outcome.LOAD_ERROR, Phase.LOAD, notes=[Note(NoteCode.LOAD_RULE, "no-outputs")])
    assert stage_of(unit, told, None) == stage
    assert beside(unit, [], told, [], "fp32").against_reference == {
        "outcome": "load_error",
        "load_rules": ["no-outputs"],
    }
    assert beside(unit, [], told, [], "fp32").load_rules == ["no-outputs"]
