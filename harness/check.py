"""The one corridor: `check(Check) -> Record`.

A case is made real, judged by eager, exported, lowered, run on a unit and compared; wherever it stops, that is the
record. `Checker` keeps what the checks of one case share, because recipes and units come one after the other.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from torch import Tensor

from harness.cases.case import Built, Case, CaseFault, Method, Partitioning, WeightsNotHad, partitioned
from harness.diagnosis.blame import LOCALISED, blamed, is_worthwhile, placed
from harness.diagnosis.reruns import most_favourable, precision_note, wrong_by_another
from harness.evidence.check import Check
from harness.evidence.notes import Note, NoteCode
from harness.evidence.recipe import Flow, Quantization, Recipe
from harness.evidence.record import ErrorInfo, Record
from harness.evidence.times import STAGE_OF, Stopwatch
from harness.evidence.unit import UnitSpec
from harness.evidence.vocabulary import (
    WORKING,
    Kind,
    Outcome,
    Phase,
    Trait,
    Unit,
    outcomes_with,
)
from harness.lowering.cache import LoweringCache
from harness.lowering.from_pte import stored_as_lowered
from harness.lowering.lower import Emitted, Exported, Failure, Lowered, export, lower, refused_call
from harness.lowering.quantize import prepared
from harness.lowering.readback import read_back, written
from harness.lowering.signatures import error_info
from harness.lowering.told import summed, told
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
from harness.verdict.buffers import begun
from harness.verdict.judge import Question, judge, question, undocumented
from harness.verdict.oracle import InvalidCase, Truth
from harness.verdict.promises import after_promises, after_refusal, broken, taken_over
from harness.verdict.refusals import after_refusals
from harness.verdict.signal import cost
from harness.verdict.stage import STILL_WRONG, beside
from harness.verdict.truths import truths_of

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

#: Characters that records of the suites keep of a message.
_MESSAGE = 600
#: Outcomes that a run with fp16 widened can explain.
_MAYBE_PRECISION = outcomes_with(Trait.ROUNDING)


@dataclass(frozen=True)
class _Faulty:
    """A case that cannot be judged, as a rule by its own fault; `built` is None where it could not even be made."""

    case: Case
    fault: str
    built: Built | None = None
    outcome: Outcome = Outcome.INVALID_CASE


@dataclass
class _Real:
    """What the checks of one case by one quantization share. `built` is lowered, `judged` gives the `truths`, those of
    the methods that are judged, call by call. `costs` is the ratio in dB at which quantization leaves them. By recipe,
    and by method, `reference` is what the reference executor made of the program. `source` is what it is but for the
    partitioning, which does not matter until the exported program is lowered."""

    case: Case
    built: Built
    judged: Built
    truths: dict[str, list[Truth]]
    costs: float | None = None
    not_quantized: Failure | None = None
    exported: Exported | None = None
    lowered: dict[Recipe, Lowered] = field(default_factory=dict)
    reference: dict[tuple[Recipe, str], _Answer] = field(default_factory=dict)
    source: _Real | None = None

    def partitioned(self, change: Callable[[Partitioning], Partitioning]) -> _Real:
        """The same with what it asks of the partitioner changed."""
        partitioning = change(self.built.partitioning)
        return _Real(
            partitioned(self.case, change),
            replace(self.built, partitioning=partitioning),
            replace(self.judged, partitioning=partitioning),
            self.truths,
            self.costs,
            self.not_quantized,
            source=self,
        )

    def export(self, on_phase: PhaseListener) -> Exported:
        """The exported program, made once."""
        if self.exported is None:
            if self.source is None:
                self.exported = export(self.built, on_phase)
            else:
                self.exported = replace(self.source.export(on_phase), partitioning=self.built.partitioning)
        return self.exported

    def questions(self, method: Method, recipe: Recipe, lowered: Lowered, emitted: Emitted) -> list[Question]:
        """What is asked of a method's program, call by call."""
        asked = []
        for arguments, right in zip(method.arguments, self.truths[method.name], strict=True):
            built = replace(self.judged, module=method.module, inputs=arguments.inputs, kwargs=arguments.kwargs)
            built = replace(built, refused=method.refused)
            asked.append(question(self.case, built, right, recipe, lowered, emitted.program))
        return asked


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
        self._quantized: tuple[tuple[Quantization, str], _Real | _Faulty] | None = None

    def check(
        self,
        check: Check[Case],
        on_phase: PhaseListener = lambda _phase: None,
        *,
        plan: bool = True,
        change: Callable[[Partitioning], Partitioning] | None = None,
    ) -> Record:
        """One check, one record; without `plan` no compute plan is asked for. With `change` of what the case asks of
        the partitioner, it shares with its other checks what comes before that.

        Raises `HarnessError` for a recipe that cannot be carried out and for a user's file that is no case.
        """
        ladder = _Ladder(on_phase)
        record = Record.of(check, Outcome.NOT_RUN, Phase.EAGER, environment=self.environment)
        unit = self._unit(check.unit)
        if (reason := unit.unavailable(check.recipe.loaded_as.name)) is not None:
            return record.with_(reason=reason)
        case = self._prepare(check.case, check.recipe, ladder)
        if case.built is not None:
            dtype = case.built.dtype if check.case.kind is Kind.USER else record.dtype
            record = record.with_(seed=case.built.seed, call=case.built.call or record.call, dtype=dtype)
        if isinstance(case, _Faulty):
            return record.with_(outcome=case.outcome, reason=case.fault)
        if change is not None:
            case = case.partitioned(change)
        if case.costs is not None and math.isfinite(case.costs):
            record = record.with_(against_float={"sqnr_db": round(case.costs, 2)})
        lowered = self._lower(case, check.recipe, ladder)
        record = record.with_(timing=dict(lowered.timing), missing_kernels=list(lowered.missing_kernels))
        if (failure := lowered.failure) is not None:
            record = record.with_(outcome=failure.outcome, phase=failure.phase, error=_kept(record, failure.error))
            return after_refusal(placed(record, case.case, case.exported, failure.place), case.built.refusal)
        if case.built.refusal is not None:
            return after_refusal(record.with_(phase=Phase.EMIT), case.built.refusal)
        if case.exported is not None and (problem := refused_call(case.exported, case.built)):
            return record.with_(outcome=Outcome.INVALID_CASE, phase=Phase.EXPORT, reason=problem)
        if lowered.emitted is None:
            return record.with_(phase=Phase.EMIT, reason=lowered.unplannable)
        programs = [Emitted(p, lowered.pte) for m in case.built.judged if (p := lowered.method(m.name).program)]
        record = record.with_(**told(check.case.kind, lowered, [emitted.program for emitted in programs]))
        if case.case.whole_model and (problem := self._read_back(programs)):
            error = ErrorInfo("EmittedProgram", problem, problem)
            return record.with_(outcome=Outcome.EMIT_ERROR, phase=Phase.EMIT, error=error)
        answers = []
        for method, emitted in zip(case.judged.judged, programs, strict=True):
            asked = case.questions(method, check.recipe, lowered.method(method.name), emitted)
            answer = self._run(record, unit, asked, emitted, ladder, plan)
            if check.unit.runs_core_ml:
                answer = self._beside_reference(check, answer, case, method, asked, emitted, ladder)
            else:
                case.reference[check.recipe, method.name] = answer
            answers.append((f"method {method.name}: " if method.name != case.built.method else "", answer))
        together = _together(answers)
        record = together.record
        if case.costs is not None and math.isinf(case.costs):
            note = Note(NoteCode.NOTHING_QUANTIZED, check.recipe.quantization)
            record = record.with_(notes=[*record.notes, note])
        if record.outcome in WORKING:
            return record
        states = [n for m, e in zip(case.built.judged, programs, strict=True) for n in begun(m.module, e.program)]
        record = record.with_(notes=record.notes + states)
        if record.outcome not in LOCALISED or not is_worthwhile(case.case.kind, lowered):
            return record
        ladder.enter(Phase.VALUE)
        places, notes = blamed(case.case, check.recipe, record.notes, case.exported)
        return placed(record.with_(notes=[*record.notes, *notes]), case.case, case.exported, *places)

    def _unit(self, unit: UnitSpec) -> UnitRunner:
        if unit not in self._units:
            self._units[unit] = make_unit(unit)
        return self._units[unit]

    def _prepare(self, case: Case, recipe: Recipe, ladder: _Ladder) -> _Real | _Faulty:
        if self._last is None or self._last.case != case:
            ladder.enter(Phase.EAGER)
            self._last, self._quantized = self._made(case), None
        scheme = recipe.scheme
        if scheme is None or isinstance(self._last, _Faulty):
            return self._last
        # Only what coremltools quantizes depends on the precision, in which it has the weights by then.
        key = scheme, recipe.precision if scheme.flow is Flow.OP_LINEAR else ""
        if self._quantized is None or self._quantized[0] != key:
            ladder.enter(Phase.EAGER)
            self._quantized = key, self._quantize(self._last, scheme, recipe.precision)
        return self._quantized[1]

    def _quantize(self, real: _Real, scheme: Quantization, precision: str) -> _Real | _Faulty:
        """The case as it is lowered and judged by recipes of this scheme, or as what the quantizer has refused."""
        try:
            with self.watch.stage("build"):
                built, judged = prepared(real.built, scheme, precision)
        except CaseFault as error:
            return _Faulty(real.case, f"quantized by {scheme.name}: {error}", real.built)
        except Exception as error:  # of whatever kind the quantizer raises
            refused = Failure(Phase.EAGER, Outcome.UNSUPPORTED, error_info(error))
            return replace(real, not_quantized=refused)
        try:
            with self.watch.stage("eager"):
                truths = truths_of(judged, users_own=real.case.kind is Kind.USER)
        except InvalidCase as error:
            return _Faulty(real.case, f"quantized by {scheme.name}: {error}", built)
        return _Real(real.case, built, judged, truths, costs=cost(truths, real.truths))

    def _made(self, case: Case) -> _Real | _Faulty:
        built = None
        try:
            with self.watch.stage("build"):
                built = case.build()
            with self.watch.stage("eager"):
                truths = truths_of(built, users_own=case.kind is Kind.USER)
        except (CaseFault, InvalidCase) as error:
            not_had = isinstance(error, WeightsNotHad)
            return _Faulty(case, str(error), built, Outcome.NOT_RUN if not_had else Outcome.INVALID_CASE)
        return _Real(case, built, built, truths)

    def _lower(self, case: _Real, recipe: Recipe, ladder: _Ladder) -> Lowered:
        def enter(phase: Phase) -> None:
            self.watch.switch(STAGE_OF[phase])
            ladder.enter(phase)

        def exported() -> Exported:
            return case.export(enter)

        if case.not_quantized is not None:
            return Lowered(failure=case.not_quantized)
        if case.built.stored and recipe not in case.lowered:
            case.lowered[recipe] = stored_as_lowered(case.built, exported())
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

    def _read_back(self, programs: Sequence[Emitted]) -> str:
        with self.watch.stage("emit"), written(programs[0].pte) as path:
            return next((p for emitted in programs if (p := read_back(path, emitted.program))), "")

    def _run(
        self,
        record: Record,
        unit: UnitRunner,
        asked: Sequence[Question],
        emitted: Emitted,
        ladder: _Ladder,
        plan: bool,
    ) -> _Answer:
        """One method's program on a unit: every call of it, in order."""
        started = time.perf_counter()
        first, *then = [one.built.leaves for one in asked]
        # ExecuTorch's own kernels take any size there is room for: what is promised of shapes is Core ML's promise.
        refused = asked[0].built.refused if _working(emitted) is Outcome.PASS else ()
        try:
            with self.watch.stage("execute"):
                leaves = [arguments.leaves for arguments in refused]
                result = unit.run(emitted, first, ladder.enter, plan=plan, then=then, refused=leaves)
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
            answers = []
            for number, found in enumerate([result, *result.then]):
                noted = record.with_(notes=list(dict.fromkeys(found.notes)))
                answer = _judged(noted, unit.unit, asked[: number + 1], emitted, found)
                answers.append((f"calls[{number - 1}]: " if number else "", answer))
            answer = _together(answers)
            record = after_refusals(answer.record, refused, result.answered)
            if result.packages and (wanted := asked[0].asked) is not None:
                record = after_promises(record, broken(wanted, emitted.program, result.packages))
            return replace(answer, record=record)

    def _beside_reference(
        self,
        check: Check[Case],
        answer: _Answer,
        case: _Real,
        method: Method,
        asked: Sequence[Question],
        emitted: Emitted,
        ladder: _Ladder,
    ) -> _Answer:
        """With the stage of what is wrong, and the distance from the reference executor's answer.

        That runs once for all units of a case, and costs little beside lowering: an operator about 40 ms, a whole
        model up to some seconds where its lowering takes half a minute.
        """
        if answer.record.outcome is Outcome.NOT_RUN:
            return answer
        key = check.recipe, method.name
        if key not in case.reference:
            ladder.enter(Phase.VALUE)  # what happens from here on is not the unit's doing
            unit = ReferenceUnit()
            made = Record.of(Check(case.case, check.recipe, unit.unit), Outcome.NOT_RUN, ladder.current)
            try:
                found = self._run(made, unit, asked, emitted, _Ladder(), plan=False)
            except Exception as error:  # of the reference executor's own: its own check shows it
                reason = f"the reference executor failed: {type(error).__name__}: {error}"
                found = _Answer(made.with_(reason=reason), [])
            case.reference[key] = found
        reference = case.reference[key]
        with self.watch.stage("judge"):
            precision = asked[0].precision
            record = beside(answer.record, answer.outputs, reference.record, reference.outputs, precision)
            return _Answer(taken_over(record, reference.record), answer.outputs)


def _kept(record: Record, error: ErrorInfo) -> ErrorInfo:
    """The whole error of a user's module; its beginning of others, of which evidence has thousands."""
    return error if record.kind is Kind.USER else replace(error, message=error.message[:_MESSAGE])


def _failed(record: Record, outcome: Outcome, phase: Phase, error: Exception) -> Record:
    """The record of a program that a unit's exception ended."""
    info = _kept(record, error_info(error))
    if not isinstance(error, LoadRuleBroken):
        return record.with_(outcome=outcome, phase=phase, error=info)
    info = replace(info, signature=f"{info.type}: {', '.join(error.rules)}")  # the same at whatever operator
    notes = [Note(NoteCode.LOAD_RULE, name) for name in error.rules]
    return record.with_(outcome=outcome, phase=phase, error=info, notes=notes)


def _together(answers: Sequence[tuple[str, _Answer]]) -> _Answer:
    """One answer of several, each with what its reason is to begin with: that of the first that is wrong, else of one
    that was not judged, else of all."""
    if len(answers) == 1:
        return answers[0][1]
    outputs = [value for _, answer in answers for value in answer.outputs]
    notes = list(dict.fromkeys(note for _, answer in answers for note in answer.record.notes))
    wrong = [(label, a.record) for label, a in answers if a.record.outcome not in WORKING]
    wrong.sort(key=lambda one: one[1].outcome is Outcome.NOT_RUN)
    if wrong:
        label, record = wrong[0]
        error = record.error and replace(record.error, message=label + record.error.message)
        return _Answer(record.with_(reason=label + record.reason, error=error, notes=notes), outputs)
    records = [answer.record for _, answer in answers]
    closest = min(records, key=lambda r: r.numerics.headroom if r.numerics and r.numerics.headroom else float("inf"))
    outcomes = {record.outcome for record in records}
    outcome = outcomes.pop() if len(outcomes) == 1 else Outcome.PARTIAL
    mil_ops = summed(record.mil_ops for record in records if record.mil_ops is not records[0].mil_ops)
    together = records[0].with_(
        outcome=outcome, numerics=closest.numerics, notes=notes, mil_ops=summed([records[0].mil_ops, mil_ops])
    )
    return _Answer(together, outputs)


def _judged(
    record: Record, unit: UnitSpec, calls: Sequence[Question], emitted: Emitted, result: ProgramResult
) -> _Answer:
    """The verdict on the last of the calls, whose result it is."""
    asked = calls[-1]
    found = judge(asked, result.outputs, result.buffers, result.again)
    hangs_on = undocumented(found.verdict, result.notes) if unit.kind is Unit.REFERENCE else None
    reason = ""
    if hangs_on is not None and found.verdict.outcome is Outcome.PASS:
        if other := wrong_by_another(calls, emitted):
            reason = f"{hangs_on}; right by one reading, by another: {other}"
    elif hangs_on is not None:
        settled = most_favourable(calls, emitted, result)
        if settled is None or settled.verdict.outcome is Outcome.PASS:
            reason = f"{hangs_on}; {found.verdict.reason}"
        else:
            found = settled
    verdict = found.verdict
    record = record.with_(numerics=verdict.numerics, reason=verdict.reason, notes=record.notes + verdict.notes)
    if reason:
        return _Answer(record.with_(phase=Phase.VALUE, reason=reason), found.outputs)
    if verdict.outcome is Outcome.PASS:
        return _Answer(record.with_(outcome=_working(emitted), phase=Phase.VALUE), found.outputs)
    outcome = verdict.outcome
    if unit.kind is Unit.REFERENCE and outcome in _MAYBE_PRECISION:
        note = precision_note(calls, emitted)
        record = record.with_(notes=[*record.notes, note])
        if outcome is Outcome.OUT_OF_RANGE and note is STILL_WRONG:
            outcome = Outcome.WRONG_VALUE  # it leaves the range because it is wrong
    error = ErrorInfo(str(outcome), verdict.reason, str(outcome))
    return _Answer(record.with_(outcome=outcome, phase=verdict.phase, error=error), found.outputs)


def _working(emitted: Emitted) -> Outcome:
    """What a program is called that gives the right answer."""
    if not emitted.program.delegates:
        return Outcome.FALLBACK
    return Outcome.PARTIAL if emitted.program.fallback_ops else Outcome.PASS


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
