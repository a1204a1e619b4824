"""General limits: what fails whatever the operator, said once at the head of a page."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from harness.evidence.causes import GENERAL, Cause
from harness.evidence.record import Record
from harness.evidence.vocabulary import OF_OPERATORS, UNJUDGED, WORKING
from harness.publish.findings import cause_links
from harness.publish.markdown import table, words


@dataclass(frozen=True)
class Limit:
    """A cause of that scope, and the operators that met it."""

    cause: Cause
    operators: int
    checks: int


def general_causes(causes: Iterable[Cause]) -> frozenset[str]:
    return frozenset(cause.cause for cause in causes if cause.scope == GENERAL)


def limits_of(records: Iterable[Record], causes: Mapping[str, Cause]) -> list[Limit]:
    """The limits that calls of operators met, those that most operators meet first."""
    met: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        if record.kind in OF_OPERATORS and record.cause in causes and record.outcome not in UNJUDGED | WORKING:
            met[record.cause or ""].append(record)
    found = [
        Limit(causes[name], len({record.op for record in members}), len(members))
        for name, members in met.items()
        if causes[name].scope == GENERAL
    ]
    return sorted(found, key=lambda limit: (-limit.operators, limit.cause.cause))


def limits_table(limits: Sequence[Limit]) -> str:
    """What fails, what to do, how many operators met it, and the cause; empty where there is none."""
    if not limits:
        return ""
    rows = [
        (words(limit.cause.condition), words(limit.cause.remedy), limit.operators, cause_links([limit.cause.cause]))
        for limit in limits
    ]
    return table(["what fails", "what to do", "operators", "cause"], rows, ["left", "left", "right", "left"])
