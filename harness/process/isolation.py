"""Checks in a child process, so that a crash or a hang costs the one check. `harness.commands.answer` is its other end.

Import-cheap: torch is loaded in the child alone.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cases.case import NoCase
from harness.evidence.check import Check
from harness.evidence.notes import Note, NoteCode
from harness.evidence.record import ErrorInfo, Record
from harness.evidence.remedy import Remedy
from harness.evidence.times import Stopwatch, by_phase
from harness.evidence.unit import UnitSpec
from harness.evidence.vocabulary import RUNTIME, HarnessError, Outcome, Phase
from harness.lowering.signatures import signature, without_machine_paths
from harness.process.child import ChildDied, ChildRaised, ChildRefused, ChildTimedOut, Listener, Stop, Stopped
from harness.process.pool import Pool
from harness.units import host

if TYPE_CHECKING:
    from harness.cases.case import Case

#: What the child runs, by name: it stands above this room, which knows nothing of judging.
HANDLER = "harness.commands.answer:make_handler"
#: For the cases of a user's file.
FILE_HANDLER = "harness.commands.answer:make_file_handler"

#: Seconds for one check; whole models lower for several seconds and are run in float64 as well.
DEADLINE = 120.0
MODEL_DEADLINE = 600.0
#: For looking for a way around one check: so many lowerings of its module.
SEARCH_DEADLINE = 1200.0
#: A flame graph of thousands of checks is large.
FLAME_DEADLINE = 120.0
#: Of a check's seconds, what asking for compute plans may take: where a program would run is not worth more.
PLAN_SHARE = 0.25
#: After so many plans in a row that cost the process, a unit is asked for no more: each costs the start of another.
PLANS_LOST = 5
#: A child that holds more is replaced before the next case. What conversions leave behind adds up over thousands of
#: checks, and a worker is to stay under 2.5 GiB with one more case; 0.6 are torch, executorch and coremltools.
RENEW_BYTES = 7 << 28


@dataclass(frozen=True)
class Settings:
    """What every check of a run shares. `deadline` replaces the default of operators.

    In `flames`, a folder, each child leaves a flame graph when it ends, where the profiler is installed.
    """

    environment: str = ""
    use_cache: bool = True
    deadline: float = DEADLINE
    flames: Path | None = None


@dataclass(frozen=True)
class _Attempt:
    """A check as one request: its record, the phases it entered, and how the child ended where it did."""

    record: Record
    phases: tuple[Phase, ...]
    death: ChildDied | None = None

    @property
    def lost_by_plan(self) -> bool:
        return self.death is not None and self.phases[-1:] == (Phase.PLAN,)


class IsolatedChecker:
    """As `harness.check.Checker`, child processes behind it. Not for several threads; by `stop`, though, any thread
    ends a check, which raises `harness.process.child.Stopped`.

    `watch`, where there is one, adds up where the time goes: waiting for a child to get ready, and what it spent.
    """

    def __init__(
        self,
        settings: Settings,
        handler: str = HANDLER,
        stop: Stop | None = None,
        watch: Stopwatch | None = None,
    ) -> None:
        self.settings = settings
        #: Checks that were asked for.
        self.checks = 0
        self._pool = Pool(handler, stop=stop)
        self._watch = watch
        #: The child that has samples for a flame graph, by its process number.
        self._sampled = 0
        self._plans_lost: dict[UnitSpec, int] = {}
        self._case = ""

    def check(
        self,
        check: Check[Case],
        on_phase: Callable[[Phase], None] = lambda _phase: None,
        file: Path | None = None,
    ) -> Record:
        """Always gives a record; raises `NoCase` for what turns out to be none, `HarnessError` for a request that
        cannot be carried out.

        Where asking for a compute plan ends the process or gives no answer, that says nothing about the program: the
        check is repeated once without it, in a deadline of its own. `file` is the user's file of a `check/` case.
        """
        # Not in the middle of a case, whose checks share what they can.
        case, unit = check.case, check.unit
        if case.id != self._case and self._pool.memory() > RENEW_BYTES:
            self._leave_flame()
            self._pool.renew()
        self._case = case.id
        self.checks += 1
        request = {
            **self._request(check, file),
            "plan": self._plans_lost.get(unit, 0) < PLANS_LOST,
            "times": self._watch is not None,
        }
        attempt = self._attempt(check, request, on_phase)
        if not request["plan"]:
            if Phase.LOAD not in attempt.phases:
                return attempt.record
            return _without_placement(attempt.record, f"{PLANS_LOST} compute plans in a row cost the process")
        if attempt.lost_by_plan:
            self._plans_lost[unit] = self._plans_lost.get(unit, 0) + 1
            death = attempt.death
            assert death is not None
            how = f"gave {death.how}" if isinstance(death, ChildTimedOut) else f"ended the process ({death.how})"
            attempt = self._attempt(check, {**request, "plan": False}, on_phase)
            return _without_placement(attempt.record, f"asking for the compute plan {how}")
        if Phase.PLAN in attempt.phases:
            self._plans_lost[unit] = 0
        return attempt.record

    def way_around(self, check: Check[Case], failing: Record, tries: int, file: Path | None = None) -> Remedy:
        """What a user can do about a failing check, of what so many lowerings can try. Always gives an answer: a
        search that its process did not survive found nothing, and says so.
        """
        request = {
            **self._request(check, file),
            "question": "way around",
            "record": failing.to_json(),
            "tries": tries,
        }
        try:
            answer = self._call(request, SEARCH_DEADLINE, lambda _message: None)
            return Remedy.from_json(answer["remedy"])
        except ChildDied as error:
            return Remedy(reason=f"the search ended the process: {error.how}")
        except ChildRaised as error:
            return Remedy(reason=f"the search failed: {error}")

    def devices(self) -> list[str]:
        """Devices Core ML offers on this machine (`cpu`, `gpu`, `ane`), asked in the child, because Core ML may end
        the process that asks; empty where it cannot be asked or does not tell."""
        if host.coreml_unavailable("all", None) is not None:
            return []
        try:
            return self._call({"question": "devices"}, self.settings.deadline)["devices"]
        except (ChildDied, ChildRaised):
            return []

    def prepare(self) -> None:
        """Have the first child import what it needs while the caller does something else."""
        self._pool.prepare()

    def close(self) -> None:
        """End every process."""
        self._leave_flame()
        self._pool.close()

    def _leave_flame(self) -> None:
        # One that died left none, and the child in its place has nothing to tell.
        if self._sampled and self._pool.pids()[:1] == [self._sampled]:
            with self._stage("write"), contextlib.suppress(ChildDied, ChildRaised, Stopped):
                self._pool.call({"question": "flame"}, FLAME_DEADLINE)

    def _stage(self, name: str) -> contextlib.AbstractContextManager[None]:
        return self._watch.stage(name) if self._watch is not None else contextlib.nullcontext()

    def _call(self, request: dict[str, Any], deadline: float, listener: Listener = lambda _m: None) -> dict[str, Any]:
        if self._watch is not None and not self._pool.is_ready:
            with self._watch.stage("import"):
                self._pool.wait_until_ready()
        return self._pool.call(request, deadline, listener)

    def _request(self, check: Check[Case], file: Path | None) -> dict[str, Any]:
        return {
            "case": check.case.id,
            "recipe": check.recipe.name,
            "unit": str(check.unit),
            "file": str(file) if file else None,
            "environment": self.settings.environment,
            "use_cache": self.settings.use_cache,
            "flames": str(self.settings.flames) if self.settings.flames else None,
        }

    def _attempt(self, check: Check[Case], request: dict[str, Any], on_phase: Callable[[Phase], None]) -> _Attempt:
        phases: list[Phase] = []
        entered: list[float] = []
        deadline = max(self.settings.deadline, MODEL_DEADLINE) if check.case.whole_model else self.settings.deadline

        def note(message: dict[str, Any]) -> float | None:
            if "spent" in message:
                if self._watch is not None:
                    self._watch.add(message["spent"])
                return None
            if not phases and self.settings.flames is not None:
                self._sampled = next(iter(self._pool.pids()), 0)
            phases.append(Phase(message["phase"]))
            entered.append(time.perf_counter())
            on_phase(phases[-1])
            return deadline * PLAN_SHARE if phases[-1] is Phase.PLAN else None

        blank = Record.of(check, Outcome.NOT_RUN, Phase.EAGER, environment=self.settings.environment)

        def attempt(record: Record, death: ChildDied | None = None) -> _Attempt:
            if entered:  # counted from the first phase: a process that has to start imports before it
                record = record.with_(timing={**record.timing, "total": time.perf_counter() - entered[0]})
            return _Attempt(record, tuple(phases), death)

        try:
            answer = self._call(request, deadline, note)
        except ChildRefused as error:
            raise HarnessError(str(error)) from None
        except ChildDied as error:
            if self._watch is not None:  # the child's own times went with it
                self._watch.add(by_phase(list(zip(phases, entered, strict=True)), time.perf_counter()))
            return attempt(_ended(blank.with_(phase=phases[-1] if phases else Phase.EAGER), error), error)
        except ChildRaised as error:
            return attempt(_faulty(blank.with_(phase=phases[-1] if phases else Phase.EAGER), str(error), error.trace))
        if isinstance(answer, dict) and "no_case" in answer:
            raise NoCase(answer["no_case"])
        try:
            return attempt(Record.from_json(answer))
        except HarnessError as error:
            return attempt(_faulty(blank, f"the child's answer: {error}", repr(answer)))


#: Phases in which the unit has the program in hand.
_OF_THE_UNIT = frozenset({Phase.LOAD, Phase.PLAN, Phase.RUN})


def _ended(record: Record, error: ChildDied) -> Record:
    """Reason: signal and phase. Message: the last lines of stderr, the telling one first.

    The signature of a death holds that line, or the Python frame of the fault; of a hang neither: where the deadline
    catches it is chance. What Core ML does not survive is its own fault, whatever the program.
    """
    timeout = isinstance(error, ChildTimedOut)
    kind = "Timeout" if timeout else error.how
    told = "" if timeout else error.ending.telling or error.ending.place
    info = ErrorInfo(kind, error.stderr or _unsaid(error.how), signature(f"{kind} in {record.phase}", told))
    outcome = Outcome.TIMEOUT if timeout else Outcome.CRASH
    stage = RUNTIME if record.unit_spec.runs_core_ml and record.phase in _OF_THE_UNIT else ""
    return record.with_(outcome=outcome, reason=f"{error.how} in phase {record.phase}", error=info, stage=stage)


def _unsaid(how: str) -> str:
    """What stands for last words where there are none."""
    if how == "SIGKILL":  # ours are time-outs
        return "killed from outside without a word: by the system for want of memory, or by somebody"
    return "it left no word on stderr"


def _faulty(record: Record, what: str, trace: str) -> Record:
    """A fault of the harness itself: kept as a record that fails the run, not as a verdict on the backend."""
    error = ErrorInfo("HarnessFault", without_machine_paths(trace)[-1500:], what[:160])
    return record.with_(reason=f"the harness itself failed: {what}", error=error)


def _without_placement(record: Record, why: str) -> Record:
    return record.with_(notes=[*record.notes, Note(NoteCode.PLACEMENT_UNKNOWN, f"placement unknown: {why}")])
