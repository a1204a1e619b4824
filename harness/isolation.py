"""Checks in a child process, so that a crash or a hang costs the one check: `IsolatedChecker` and its child's handler.

Import-cheap: torch is loaded in the child alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.evidence.record import ErrorInfo, Record
from harness.evidence.vocabulary import HarnessError, Outcome, Phase
from harness.units import host
from harness.units.child import Child, ChildDied, ChildRaised, ChildRefused, ChildTimedOut

if TYPE_CHECKING:
    from harness.cases.case import Case

HANDLER = "harness.isolation:make_handler"

#: Seconds for one check; whole models lower for several seconds and are run in float64 as well.
DEADLINE = 120.0
MODEL_DEADLINE = 600.0


@dataclass(frozen=True)
class Settings:
    """What every check of a run shares. `deadline` replaces the default of operators."""

    environment: str = ""
    use_cache: bool = True
    deadline: float = DEADLINE


class IsolatedChecker:
    """As `harness.check.Checker`, one child process behind it."""

    def __init__(self, settings: Settings, handler: str = HANDLER) -> None:
        self.settings = settings
        self._child = Child(handler)

    def check(
        self,
        case: Case,
        recipe: str,
        unit: str,
        on_phase: Callable[[Phase], None] = lambda _phase: None,
        file: Path | None = None,
    ) -> Record:
        """Always gives a record; raises `HarnessError` only for a request that cannot be carried out.

        `file` is the user's file a `check/` case comes from.
        """
        request = {
            "case": case.id,
            "recipe": recipe,
            "unit": unit,
            "file": str(file) if file else None,
            "environment": self.settings.environment,
            "use_cache": self.settings.use_cache,
        }
        last = Phase.EAGER

        def note(message: dict[str, Any]) -> None:
            nonlocal last
            last = Phase(message["phase"])
            on_phase(last)

        deadline = max(self.settings.deadline, MODEL_DEADLINE) if case.whole_model else self.settings.deadline
        try:
            return Record.from_json(self._child.call(request, deadline, note))
        except ChildRefused as error:
            raise HarnessError(str(error)) from None
        except ChildTimedOut as error:
            return self._ended(case, recipe, unit, Outcome.TIMEOUT, last, error)
        except ChildDied as error:
            return self._ended(case, recipe, unit, Outcome.CRASH, last, error)
        except ChildRaised as error:
            # A fault of the harness itself: kept as a record that fails the run, not as a verdict on the backend.
            record = self._record(case, recipe, unit, Outcome.NOT_RUN, last)
            reason = f"the harness itself failed: {error}"
            return record.with_(reason=reason, error=ErrorInfo("HarnessFault", error.trace[-1500:], str(error)[:160]))

    def devices(self) -> list[str]:
        """Devices Core ML offers on this machine (`cpu`, `gpu`, `ane`), asked in the child, because Core ML may end
        the process that asks; empty where it cannot be asked or does not tell."""
        if host.coreml_unavailable("all", None) is not None:
            return []
        try:
            return self._child.call({"question": "devices"}, self.settings.deadline)["devices"]
        except (ChildDied, ChildRaised):
            return []

    def close(self) -> None:
        self._child.close()

    def _record(self, case: Case, recipe: str, unit: str, outcome: Outcome, phase: Phase) -> Record:
        return Record(
            case=case.id,
            recipe=recipe,
            unit=unit,
            outcome=outcome,
            phase=phase,
            op=case.op,
            api=case.api,
            dtype=case.dtype,
            origin=case.origin,
            environment=self.settings.environment,
        )

    def _ended(self, case: Case, recipe: str, unit: str, outcome: Outcome, phase: Phase, error: ChildDied) -> Record:
        reason = f"{error.how} in phase {phase}"
        kind = "Timeout" if outcome is Outcome.TIMEOUT else error.how
        info = ErrorInfo(kind, error.stderr, f"{kind} in {phase}")
        return self._record(case, recipe, unit, outcome, phase).with_(reason=reason, error=info)


def make_handler() -> Callable[[dict[str, Any], Callable[[dict[str, Any]], None]], dict[str, Any]]:
    """Called in the child: import what is measured, then answer requests."""
    import logging

    import torch

    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    from torch.testing._internal.common_methods_invocations import op_db  # noqa: F401

    from harness.cases import find, user_file
    from harness.check import Checker
    from harness.lowering import speedups
    from harness.lowering.backend import import_failure
    from harness.lowering.cache import LoweringCache
    from harness.lowering.recipe import Recipe
    from harness.units.placement import available_devices

    import_failure()  # now, and not within the deadline of the first check
    speedups.enable()
    checkers: dict[tuple[str, bool], Checker] = {}

    def handle(request: dict[str, Any], send: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
        if request.get("question") == "devices":
            return {"devices": available_devices()}
        key = (request["environment"], request["use_cache"])
        if key not in checkers:
            checkers[key] = Checker(key[0], LoweringCache() if key[1] else None)
        if request["file"]:
            case = user_file.load(Path(request["file"]), request["case"].rsplit("/", 1)[1])[0]
        else:
            case = find.find(request["case"])
        recipe = Recipe.parse(request["recipe"])
        record = checkers[key].check(case, recipe, request["unit"], lambda phase: send({"phase": str(phase)}))
        return record.to_json()

    return handle
