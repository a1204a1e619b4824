"""The one corridor: `check(Check) -> Record`.

A case is made real, judged by eager, exported, lowered, run on a unit and compared; wherever it stops, that is the
record. `Checker` keeps what the checks of one case share, because recipes and units come one after the other.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from torch import Tensor

from harness.cases.case import Built, Case, CaseFault
from harness.evidence.check import Check
from harness.evidence.notes import Note, NoteCode
from harness.evidence.recipe import Recipe
from harness.evidence.record import ErrorInfo, Record
from harness.evidence.times import STAGE_OF, Stopwatch
from harness.evidence.unit import UnitSpec
from harness.evidence.vocabulary import Outcome, Phase, Trait, Unit, outcomes_with
from harness.lowering.cache import LoweringCache
from harness.lowering.lower import Emitted, Exported, Lowered, export, lower
from harness.lowering.readback import read_back, written
from harness.lowering.signatures import error_info
from harness.units.base import (
    EmittedOtherwise,
    FallbackFailed,
    LoadFailed,
    LoadRuleBroken,
    NotRunnable,
    PredictFailed,
    ProgramContradiction,
    ProgramResult,
    UnitDied,
    UnitRunner,
)
from harness.units.reference import ReferenceUnit
from harness.units.registry import make_unit
from harness.verdict.judge import Judgement, Question, judge, judge_readings, question, undocumented
from harness.verdict.oracle import InvalidCase, Truth, truth
from harness.verdict.stage import RIGHT_WHEN_WIDENED, STILL_WRONG, beside

PhaseListener = Callable[[Phase], None]

#: What the user gets when a unit's exception ends the check.
_UNIT_FAILURES: tuple[tuple[type[Exception], Outcome], ...] = (
    (EmittedOtherwise, Outcome.EMIT_ERROR),
    (ProgramContradiction, Outcome.INVALID_PROGRAM),
    (LoadFailed, Outcome.LOAD_ERROR),
    (PredictFailed, Outcome.RUN_ERROR),
    (FallbackFailed, Outcome.RUN_ERROR),
    (UnitDied, Outcome.CRASH),
)

#: Outcomes that a run with fp16 widened can explain.
_MAYBE_PRECISION = outcomes_with(Trait.ROUNDING)


@dataclass(frozen=True)
class _Faulty:
    """A case that cannot be judged, by a fault of its own; `built` is None where it could not even be made."""

    case: Case
    fault: str
    built: Built | None = None


@dataclass
class _Real:
    """What the checks of one case share. By recipe, `reference` is what the reference executor made of the program."""

    case: Case
    built: Built
    truth: Truth
    exported: Exported | None = None
    lowered: dict[Recipe, Lowered] = field(default_factory=dict)
    reference: dict[Recipe, _Answer] = field(default_factory=dict)


@dataclass(frozen=True)
class _Answer:
    """The record of a run, and the answer it judges: no outputs where there is none."""

    record: Record
    outputs: list[Tensor]


class Checker:
    """Runs checks in this process.

    `environment` names the environment block the records belong to; `cache` is None for lowering anew each time.
    `watch` adds up where the time goes.
    """

    def __init__(self, environment: str = "", cache: LoweringCache | None = None) -> None:
        self.environment = environment
        self.cache = cache
        self.watch = Stopwatch()
        self._units: dict[UnitSpec, UnitRunner] = {}
        self._last: _Real | _Faulty | None = None

    def check(self, check: Check[Case], on_phase: PhaseListener = lambda _phase: None, *, plan: bool = True) -> Record:
        """One check, one record; without `plan` no compute plan is asked for.

        Raises `HarnessError` for a recipe that cannot be carried out and for a user's file that is no case.
        """
        ladder = _Ladder(on_phase)
        record = Record.of(check, Outcome.NOT_RUN, Phase.EAGER, environment=self.environment)
        unit = self._unit(check.unit)
        if (reason := unit.unavailable(check.recipe.target)) is not None:
            return record.with_(reason=reason)
        case = self._prepare(check.case, ladder)
        if case.built is not None:
            record = record.with_(seed=case.built.seed, call=case.built.call or record.call)
        if isinstance(case, _Faulty):
            return record.with_(outcome=Outcome.INVALID_CASE, reason=case.fault)
        lowered = self._lower(case, check.recipe, ladder)
        record = record.with_(timing=dict(lowered.timing), missing_kernels=list(lowered.missing_kernels))
        if (failure := lowered.failure) is not None:
            return record.with_(outcome=failure.outcome, phase=failure.phase, error=failure.error)
        if (emitted := lowered.emitted) is None:
            return record.with_(phase=Phase.EMIT, reason=lowered.unplannable)
        program = emitted.program
        record = record.with_(delegated=program.delegated_ops, fallback=program.fallback_ops)
        if case.case.whole_model and (problem := self._read_back(emitted)) is not None:
            error = ErrorInfo("EmittedProgram", problem, problem)
            return record.with_(outcome=Outcome.EMIT_ERROR, phase=Phase.EMIT, error=error)
        asked = question(case.case, case.built, case.truth, check.recipe, lowered, program)
        answer = self._run(record, unit, asked, emitted, ladder, plan)
        if check.unit.runs_core_ml:
            return self._beside_reference(check, answer, case, asked, emitted, ladder)
        case.reference[check.recipe] = answer
        return answer.record

    def _unit(self, unit: UnitSpec) -> UnitRunner:
        if unit not in self._units:
            self._units[unit] = make_unit(unit)
        return self._units[unit]

    def _prepare(self, case: Case, ladder: _Ladder) -> _Real | _Faulty:
        if self._last is None or self._last.case != case:
            ladder.enter(Phase.EAGER)
            self._last = self._made(case)
        return self._last

    def _made(self, case: Case) -> _Real | _Faulty:
        built = None
        try:
            with self.watch.stage("build"):
                built = case.build()
            with self.watch.stage("eager"):
                right = truth(built.module, built.inputs)
        except (CaseFault, InvalidCase) as error:
            return _Faulty(case, str(error), built)
        if right.non_tensors:
            return _Faulty(case, f"a result is no tensor: {', '.join(right.non_tensors)}", built)
        return _Real(case, built, right)

    def _lower(self, case: _Real, recipe: Recipe, ladder: _Ladder) -> Lowered:
        def enter(phase: Phase) -> None:
            self.watch.switch(STAGE_OF[phase])
            ladder.enter(phase)

        def exported() -> Exported:
            if case.exported is None:
                case.exported = export(case.built, enter)
            return case.exported

        if recipe not in case.lowered:
            with self.watch.stage("cache"):
                if self.cache is None:
                    found = lower(exported(), recipe, enter)
                elif case.case.named:
                    found = self.cache.lower_named(case.case.id, case.built, exported, recipe, enter)
                else:
                    found = self.cache.lower(case.case.id, exported(), recipe, enter)
            case.lowered[recipe] = found
        return case.lowered[recipe]

    def _read_back(self, emitted: Emitted) -> str | None:
        with self.watch.stage("emit"), written(emitted.pte) as path:
            return read_back(path, emitted.program)

    def _run(
        self, record: Record, unit: UnitRunner, asked: Question, emitted: Emitted, ladder: _Ladder, plan: bool
    ) -> _Answer:
        started = time.perf_counter()
        try:
            with self.watch.stage("execute"):
                result = unit.run(emitted, asked.built.inputs, ladder.enter, plan=plan)
        except NotRunnable as error:
            return _Answer(record.with_(phase=ladder.current, reason=str(error)), [])
        except tuple(kind for kind, _ in _UNIT_FAILURES) as error:
            outcome = next(outcome for kind, outcome in _UNIT_FAILURES if isinstance(error, kind))
            phase = Phase.LOAD if outcome is Outcome.LOAD_ERROR else ladder.current
            return _Answer(_failed(record, outcome, phase, error), [])
        record = record.with_(
            timing={**record.timing, "run": time.perf_counter() - started},
            mil_ops=dict(sorted(result.mil_ops.items())),
            placement=result.placement,
            aten_placement=result.aten_placement,
            notes=list(dict.fromkeys(result.notes)),
        )
        with self.watch.stage("judge"):
            return _judged(record, unit.unit, asked, emitted, result)

    def _beside_reference(
        self, check: Check[Case], answer: _Answer, case: _Real, asked: Question, emitted: Emitted, ladder: _Ladder
    ) -> Record:
        """With the stage of what is wrong, and the distance from the reference executor's answer.

        That runs once for all units of a case, and costs little beside lowering: an operator about 40 ms, a whole
        model up to some seconds where its lowering takes half a minute.
        """
        if answer.record.outcome is Outcome.NOT_RUN:
            return answer.record
        if check.recipe not in case.reference:
            ladder.enter(Phase.VALUE)  # what happens from here on is not the unit's doing
            unit = ReferenceUnit()
            made = Record.of(Check(case.case, check.recipe, unit.unit), Outcome.NOT_RUN, ladder.current)
            try:
                found = self._run(made, unit, asked, emitted, _Ladder(), plan=False)
            except Exception as error:  # of the reference executor's own: its own check shows it
                reason = f"the reference executor failed: {type(error).__name__}: {error}"
                found = _Answer(made.with_(reason=reason), [])
            case.reference[check.recipe] = found
        reference = case.reference[check.recipe]
        with self.watch.stage("judge"):
            return beside(answer.record, answer.outputs, reference.record, reference.outputs, asked.precision)


def _failed(record: Record, outcome: Outcome, phase: Phase, error: Exception) -> Record:
    """The record of a program that a unit's exception ended."""
    info = error_info(error)
    if not isinstance(error, LoadRuleBroken):
        return record.with_(outcome=outcome, phase=phase, error=info)
    info = replace(info, signature=f"{info.type}: {', '.join(error.rules)}")  # the same at whatever operator
    notes = [Note(NoteCode.LOAD_RULE, name) for name in error.rules]
    return record.with_(outcome=outcome, phase=phase, error=info, notes=notes)


def _judged(record: Record, unit: UnitSpec, asked: Question, emitted: Emitted, result: ProgramResult) -> _Answer:
    found = judge(asked, result.outputs, result.buffers, result.again)
    hangs_on = undocumented(found.verdict, result.notes) if unit.kind is Unit.REFERENCE else None
    reason = ""
    if hangs_on is not None:
        settled = _by_every_reading(asked, emitted, result)
        if settled is None or settled.verdict.outcome is Outcome.PASS:
            reason = f"{hangs_on}; {found.verdict.reason}"
        else:
            found = settled
    verdict = found.verdict
    record = record.with_(numerics=verdict.numerics, reason=verdict.reason, notes=record.notes + verdict.notes)
    if verdict.outcome is Outcome.PASS:
        return _Answer(record.with_(outcome=_working(emitted), phase=Phase.VALUE), found.outputs)
    outcome = verdict.outcome
    if unit.kind is Unit.REFERENCE:
        if reason:
            return _Answer(record.with_(phase=Phase.VALUE, reason=reason), found.outputs)
        if outcome in _MAYBE_PRECISION:
            note = _precision_note(asked, emitted)
            record = record.with_(notes=[*record.notes, note])
            if outcome is Outcome.OUT_OF_RANGE and note is STILL_WRONG:
                outcome = Outcome.WRONG_VALUE  # it leaves the range because it is wrong
    error = ErrorInfo(str(outcome), verdict.reason, str(outcome))
    return _Answer(record.with_(outcome=outcome, phase=verdict.phase, error=error), found.outputs)


def _by_every_reading(asked: Question, emitted: Emitted, first: ProgramResult) -> Judgement | None:
    """The judgement of a program's most favourable reading; None where it does not run by another."""
    with contextlib.suppress(Exception):
        inputs = asked.built.inputs
        others = [ReferenceUnit(reading=reading).run(emitted, inputs) for reading in (1, 2)]
        filled = [ReferenceUnit(filling=filling).run(emitted, inputs) for filling in (1, 2)]
        return judge_readings(asked, first, others, filled)
    return None


def _working(emitted: Emitted) -> Outcome:
    """What a program is called that gives the right answer."""
    if not emitted.program.delegates:
        return Outcome.FALLBACK
    return Outcome.PARTIAL if emitted.program.fallback_ops else Outcome.PASS


def _precision_note(asked: Question, emitted: Emitted) -> Note:
    """Run again with every float widened: still wrong is a lowering defect, now right an effect of precision."""
    with contextlib.suppress(Exception):
        result = ReferenceUnit(mode="exact").run(emitted, asked.built.inputs)
        right = judge(asked, result.outputs, result.buffers).verdict.outcome is Outcome.PASS
        return RIGHT_WHEN_WIDENED if right else STILL_WRONG
    detail = "not told from precision: the program does not run with every float widened"
    return Note(NoteCode.NOT_WIDENED, detail)


class _Ladder:
    """The phase a check is in, told to whoever writes it ahead."""

    def __init__(self, on_phase: PhaseListener = lambda _phase: None) -> None:
        self.current = Phase.EAGER
        self._on_phase = on_phase

    def enter(self, phase: Phase) -> None:
        self.current = phase
        self._on_phase(phase)


def check(one: Check[Case]) -> Record:
    """A single check in this process, nothing cached."""
    return Checker().check(one)
