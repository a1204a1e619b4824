"""What evidence has to be before anything is concluded from it: described, unambiguous, of one state of the code."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from harness.evidence.files import Evidence, is_simulated
from harness.evidence.record import Record
from harness.evidence.vocabulary import BEFORE_RUNNING, UNJUDGED, HarnessError

#: What of an environment block says which code was measured.
CODE, VERSIONS = "code", "versions"
#: What ids of environments of a simulated Core ML host hold.
SIMULATED = "simulated"


def require_sound(evidence: Evidence, name: str) -> None:
    """Raises `HarnessError` when a record's environment is described nowhere, or a check has two records in one."""
    seen: set[tuple[str, str, str, str]] = set()
    for record in evidence.records:
        if record.environment not in evidence.environments:
            raise HarnessError(
                f"{name}: {record.check_id} names environment {record.environment!r}, which is described nowhere"
            )
        key = (record.case, record.recipe, record.unit, record.environment)
        if key in seen:
            raise HarnessError(f"{name}: two records of {record.check_id} in environment {record.environment}")
        seen.add(key)


def require_real_hardware(evidence: Evidence, name: str) -> None:
    """Raises `HarnessError` for an answer of Core ML from a machine that has none, and for real records beside those of
    a simulated host."""
    simulated = {key for key, block in evidence.environments.items() if is_simulated(block)}
    for key, block in evidence.environments.items():
        if key not in simulated and SIMULATED in key.split("-"):
            raise HarnessError(f"{name}: environment {key} is called simulated, and its description does not say so")
        if key not in simulated and simulated:
            raise HarnessError(f"{name}: {key} beside the simulated {min(simulated)}: keep them in files of their own")
        if not is_simulated(block) and not str(block.get("os", "")).startswith("macos"):
            _require_no_core_ml((r for r in evidence.records if r.environment == key), name, str(block.get("os", "")))


def _require_no_core_ml(records: Iterable[Record], name: str, system: str) -> None:
    for record in records:
        if record.outcome not in UNJUDGED and record.phase not in BEFORE_RUNNING and record.unit_spec.needs_core_ml:
            raise HarnessError(
                f"{name}: {record.check_id} answers for Core ML, which {system or 'that system'} has not"
            )


def other_code(parts: Sequence[Evidence]) -> str:
    """What two parts disagree on that claim the same environment; empty when they agree.

    Records of two states of the code under one environment would be evidence of neither.
    """
    first: dict[str, dict[str, Any]] = {}
    for part in parts:
        for name, block in part.environments.items():
            known = first.setdefault(name, block)
            for key in (VERSIONS, CODE):
                if known.get(key) != block.get(key):
                    return f"{name}: measured with other code, {_difference(known.get(key), block.get(key))}"
    return ""


def _difference(one: Any, other: Any) -> str:
    if not isinstance(one, dict) or not isinstance(other, dict):
        return "which one of them does not state"
    name = min(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
    return f"{name} {one.get(name, 'unknown')} and {other.get(name, 'unknown')}"
