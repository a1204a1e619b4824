"""The one corridor: `check(case, recipe, unit) -> Record`.

A case is made real, judged by eager, exported, lowered, run on a unit and compared; wherever it stops, that is the
record. `Checker` keeps what the checks of one case share, because recipes and units come one after the other.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from harness.cases.case import Built, Case, CaseFault
from harness.evidence.record import ErrorInfo, Record
from harness.evidence.times import STAGE_OF, Stopwatch
from harness.evidence.vocabulary import Outcome, Phase, Unit, runs_core_ml, unit_kind
from harness.lowering.cache import LoweringCache
from harness.lowering.errors import error_info
from harness.lowering.lower import Exported, Lowered, export, lower
from harness.lowering.readback import read_back, written
from harness.lowering.recipe import Recipe
from harness.units.base import LoadFailed, NotRunnable, PredictFailed, ProgramContradiction, UnitDied
from harness.units.executorch import EmittedOtherwise
from harness.units.reference import UNDOCUMENTED_NOTE, ReferenceUnit
from harness.units.registry import make_unit
from harness.units.whole_program import FallbackFailed, ProgramResult, run_program
from harness.verdict.buffers import both, judge_buffers
from harness.verdict.compare import Verdict, compare
from harness.verdict.difference import difference, worse
from harness.verdict.oracle import InvalidCase, Truth, truth
from harness.verdict.stage import RIGHT_WHEN_WIDENED, STILL_WRONG, beside
from harness.verdict.table import MODEL, rule_for
from harness.verdict.tolerance import effective_precision

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
_MAYBE_PRECISION = frozenset({Outcome.WRONG_VALUE, Outcome.OUT_OF_RANGE})


@dataclass
class _Prepared:
    """What the checks of one case share."""

    case: Case
    built: Built | None = None
    truth: Truth | None = None
    fault: str = ""
    exported: Exported | None = None
    lowered: dict[str, Lowered] = field(default_factory=dict)
    #: By recipe, what the reference executor made of the program: its record and its outputs.
    reference: dict[str, tuple[Record, list[torch.Tensor]]] = field(default_factory=dict)


class Checker:
    """Runs checks in this process.

    `environment` names the environment block the records belong to; `cache` is None for lowering anew each time.
    `watch` adds up where the time goes.
    """

    def __init__(self, environment: str = "", cache: LoweringCache | None = None) -> None:
        self.environment = environment
        self.cache = cache
        self.watch = Stopwatch()
        self._units: dict[str, Any] = {}
        self._last: _Prepared | None = None

    def check(
        self,
        case: Case,
        recipe: Recipe,
        unit: str,
        on_phase: PhaseListener = lambda _phase: None,
        *,
        plan: bool = True,
    ) -> Record:
        """One check, one record; without `plan` no compute plan is asked for.

        Raises `HarnessError` for an unknown unit and for a user's file that is no case.
        """
        ladder = _Ladder(on_phase)
        record = Record(
            case=case.id,
            recipe=recipe.name,
            unit=unit,
            outcome=Outcome.NOT_RUN,
            phase=Phase.EAGER,
            op=case.op,
            api=case.api,
            dtype=case.dtype,
            origin=case.origin,
            environment=self.environment,
        )
        runner = self._unit(unit)
        reason = runner.unavailable(recipe.target)
        if reason is not None:
            return record.with_(reason=reason)
        prepared = self._prepare(case, ladder)
        if prepared.built is not None:
            record = record.with_(seed=prepared.built.seed)
        if prepared.fault or prepared.truth is None or prepared.built is None:
            return record.with_(outcome=Outcome.INVALID_CASE, reason=prepared.fault)
        lowered = self._lower(prepared, recipe, ladder)
        record = record.with_(timing=dict(lowered.timing), missing_kernels=list(lowered.missing_kernels))
        if lowered.failure is not None:
            failure = lowered.failure
            return record.with_(outcome=failure.outcome, phase=failure.phase, error=failure.error)
        if lowered.program is None:
            return record.with_(phase=Phase.EMIT, reason=lowered.unplannable)
        record = record.with_(delegated=lowered.program.delegated_ops, fallback=lowered.program.fallback_ops)
        if case.whole_model:
            with self.watch.stage("emit"), written(lowered.pte) as path:
                problem = read_back(path, lowered.program)
            if problem is not None:
                error = ErrorInfo("EmittedProgram", problem, problem)
                return record.with_(outcome=Outcome.EMIT_ERROR, phase=Phase.EMIT, error=error)
        record, outputs = self._run(record, runner, prepared, lowered, recipe, ladder, plan)
        if runs_core_ml(unit):
            return self._beside_reference(record, outputs, prepared, lowered, recipe, ladder)
        prepared.reference[recipe.name] = record, outputs
        return record

    def _unit(self, name: str) -> Any:
        if name not in self._units:
            self._units[name] = make_unit(name)
        return self._units[name]

    def _prepare(self, case: Case, ladder: _Ladder) -> _Prepared:
        if self._last is not None and self._last.case == case:
            return self._last
        ladder.enter(Phase.EAGER)
        prepared = _Prepared(case)
        try:
            with self.watch.stage("build"):
                prepared.built = case.build()
            with self.watch.stage("eager"):
                prepared.truth = truth(prepared.built.module, prepared.built.inputs)
            if prepared.truth.non_tensors:
                prepared.fault = f"a result is no tensor: {', '.join(prepared.truth.non_tensors)}"
        except (CaseFault, InvalidCase) as error:
            prepared.fault = str(error)
        self._last = prepared
        return prepared

    def _lower(self, prepared: _Prepared, recipe: Recipe, ladder: _Ladder) -> Lowered:
        built, case = prepared.built, prepared.case
        assert built is not None

        def enter(phase: Phase) -> None:
            self.watch.switch(STAGE_OF[phase])
            ladder.enter(phase)

        def exported() -> Exported:
            if prepared.exported is None:
                prepared.exported = export(built, enter)
            return prepared.exported

        if recipe.name not in prepared.lowered:
            with self.watch.stage("cache"):
                if self.cache is None:
                    found = lower(exported(), recipe, enter)
                elif case.named:
                    found = self.cache.lower_named(case.id, built, exported, recipe, enter)
                else:
                    found = self.cache.lower(case.id, exported(), recipe, enter)
            prepared.lowered[recipe.name] = found
        return prepared.lowered[recipe.name]

    def _run(
        self,
        record: Record,
        runner: Any,
        prepared: _Prepared,
        lowered: Lowered,
        recipe: Recipe,
        ladder: _Ladder,
        plan: bool,
    ) -> tuple[Record, list[torch.Tensor]]:
        """The record of a run, and the answer it judges: empty where there is none."""
        assert lowered.program is not None
        assert prepared.built is not None
        started = time.perf_counter()
        try:
            with self.watch.stage("execute"):
                if unit_kind(record.unit) == Unit.EXECUTORCH:
                    result = runner.run_pte(lowered.pte, lowered.program, prepared.built.inputs, ladder.enter)
                else:
                    result = run_program(lowered.program, runner, prepared.built.inputs, ladder.enter, plan=plan)
        except NotRunnable as error:
            return record.with_(phase=ladder.current, reason=str(error)), []
        except tuple(kind for kind, _ in _UNIT_FAILURES) as error:
            outcome = next(outcome for kind, outcome in _UNIT_FAILURES if isinstance(error, kind))
            phase = Phase.LOAD if outcome is Outcome.LOAD_ERROR else ladder.current
            return record.with_(outcome=outcome, phase=phase, error=error_info(error)), []
        record = record.with_(
            timing={**record.timing, "run": time.perf_counter() - started},
            mil_ops=dict(sorted(result.mil_ops.items())),
            placement=result.placement,
            aten_placement=result.aten_placement,
            notes=_unique(result.notes),
        )
        with self.watch.stage("judge"):
            return self._judge(record, prepared, lowered, recipe, result)

    def _judge(
        self, record: Record, prepared: _Prepared, lowered: Lowered, recipe: Recipe, result: ProgramResult
    ) -> tuple[Record, list[torch.Tensor]]:
        assert lowered.program is not None
        precision = _precision(recipe, prepared, lowered)
        outputs = _tensors(result.outputs)
        verdict = self._compare(outputs, prepared, lowered, precision, result.buffers)
        if result.again is not None:
            again = _tensors(result.again)
            apart = difference(again, outputs, precision)
            verdict, second_rules = worse(verdict, self._compare(again, prepared, lowered, precision), apart)
            outputs = again if second_rules else outputs
        record = record.with_(numerics=verdict.numerics, reason=verdict.reason, notes=record.notes + verdict.notes)
        if verdict.outcome is not Outcome.PASS:
            undocumented = [note for note in record.notes if note.startswith(UNDOCUMENTED_NOTE)]
            if undocumented and verdict.phase is Phase.VALUE and record.unit == Unit.REFERENCE:
                return record.with_(phase=Phase.VALUE, reason=f"{undocumented[0]}; {verdict.reason}"), outputs
            outcome = verdict.outcome
            if outcome in _MAYBE_PRECISION and record.unit == Unit.REFERENCE:
                note = self._precision_note(prepared, lowered, precision)
                record = record.with_(notes=[*record.notes, note])
                if outcome is Outcome.OUT_OF_RANGE and note == STILL_WRONG:
                    outcome = Outcome.WRONG_VALUE  # it leaves the range because it is wrong
            error = ErrorInfo(str(outcome), verdict.reason, str(outcome))
            return record.with_(outcome=outcome, phase=verdict.phase, error=error), outputs
        if not lowered.program.delegates:
            return record.with_(outcome=Outcome.FALLBACK, phase=Phase.VALUE), outputs
        partly = bool(lowered.program.fallback_ops)
        return record.with_(outcome=Outcome.PARTIAL if partly else Outcome.PASS, phase=Phase.VALUE), outputs

    def _beside_reference(
        self,
        record: Record,
        outputs: list[torch.Tensor],
        prepared: _Prepared,
        lowered: Lowered,
        recipe: Recipe,
        ladder: _Ladder,
    ) -> Record:
        """With the stage of what is wrong, and the distance from the reference executor's answer.

        That runs once for all units of a case, and costs little beside lowering: an operator about 40 ms, a whole
        model up to some seconds where its lowering takes half a minute.
        """
        assert lowered.program is not None
        if record.outcome is Outcome.NOT_RUN:
            return record
        if recipe.name not in prepared.reference:
            ladder.enter(Phase.VALUE)  # what happens from here on is not the unit's doing
            made = Record(record.case, record.recipe, Unit.REFERENCE, Outcome.NOT_RUN, ladder.current, op=record.op)
            try:
                found = self._run(made, ReferenceUnit(), prepared, lowered, recipe, _Ladder(), plan=False)
            except Exception as error:  # of the reference executor's own: its own check shows it
                found = made.with_(reason=f"the reference executor failed: {type(error).__name__}: {error}"), []
            prepared.reference[recipe.name] = found
        reference, expected = prepared.reference[recipe.name]
        with self.watch.stage("judge"):
            return beside(record, outputs, reference, expected, _precision(recipe, prepared, lowered))

    def _compare(
        self,
        got: list[torch.Tensor],
        prepared: _Prepared,
        lowered: Lowered,
        precision: str,
        buffers: dict[str, torch.Tensor] | None = None,
    ) -> Verdict:
        assert prepared.truth is not None
        assert prepared.built is not None
        assert lowered.program is not None
        operators = [op for op, count in lowered.exported_ops.items() for _ in range(count)]
        rule = MODEL if prepared.case.whole_model else rule_for(prepared.case.op, operators)
        verdict = compare(got, prepared.truth, rule, precision)
        if buffers is None or not lowered.program.written:
            return verdict
        module, inputs = prepared.built.module, prepared.built.inputs
        return both(verdict, judge_buffers(buffers, lowered.program.written, module, inputs, rule, precision))

    def _precision_note(self, prepared: _Prepared, lowered: Lowered, precision: str) -> str:
        """Run again with every float widened: still wrong is a lowering defect, now right an effect of precision."""
        assert lowered.program is not None
        assert prepared.built is not None
        with contextlib.suppress(Exception):
            result = run_program(lowered.program, ReferenceUnit(mode="exact"), prepared.built.inputs)
            verdict = self._compare(_tensors(result.outputs), prepared, lowered, precision, result.buffers)
            if verdict.outcome is Outcome.PASS:
                return RIGHT_WHEN_WIDENED
            return STILL_WRONG
        return "not told from precision: the program does not run with every float widened"


class _Ladder:
    """The phase a check is in, told to whoever writes it ahead."""

    def __init__(self, on_phase: PhaseListener = lambda _phase: None) -> None:
        self.current = Phase.EAGER
        self._on_phase = on_phase

    def enter(self, phase: Phase) -> None:
        self.current = phase
        self._on_phase(phase)


def _tensors(outputs: Sequence[Any]) -> list[torch.Tensor]:
    """What is compared of a program's outputs: a number is a tensor of rank 0, None is nothing."""
    return [value if isinstance(value, torch.Tensor) else torch.tensor(value) for value in outputs if value is not None]


def _precision(recipe: Recipe, prepared: _Prepared, lowered: Lowered) -> str:
    """What the program is judged in, on every unit alike.

    The types of an ML Program say what each operator computes in at least: a unit without float32, the Neural Engine,
    is not given an operator in float32, and one that computes wider stays within the bounds.
    Source: the guide of Core ML Tools, "Typed Execution". A state is float16 in every program: there is no other.
    Source: the same guide, "Stateful Models".
    """
    assert prepared.truth is not None
    assert prepared.built is not None
    assert lowered.program is not None
    delegates = lowered.program.delegates
    states = [torch.empty(0, dtype=torch.float16)] if any(delegate.buffers for delegate in delegates) else []
    return effective_precision(recipe.precision, delegates, prepared.built.inputs, prepared.truth.reference, states)


def _unique(notes: list[str]) -> list[str]:
    return list(dict.fromkeys(notes))


def check(case: Case, recipe: Recipe, unit: str) -> Record:
    """A single check in this process, nothing cached."""
    return Checker().check(case, recipe, unit)
