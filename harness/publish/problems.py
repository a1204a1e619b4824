"""What goes wrong, grouped: equal failures of many checks are one line of a page."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from harness.evidence.numerics import headroom_of
from harness.evidence.record import Record, natural_key
from harness.evidence.triage import grouping_signature
from harness.evidence.vocabulary import FAILING, SEVERITY, Outcome
from harness.publish.graphs import operators_of, without_kernel

#: Outcomes that are problems, worst first: what the user cannot see comes before what stops him.
PROBLEMS: tuple[Outcome, ...] = tuple(o for o in reversed(SEVERITY) if o in FAILING)


@dataclass
class Problem:
    """Checks that fail in the same way. `worst` is the one furthest outside its bound, else the first."""

    outcome: Outcome
    phase: str
    signature: str
    records: list[Record] = field(default_factory=list)

    @property
    def subjects(self) -> list[str]:
        return sorted({record.subject for record in self.records}, key=natural_key)

    @property
    def where(self) -> list[str]:
        return sorted({f"{record.recipe} {record.unit}" for record in self.records})

    @property
    def causes(self) -> list[str]:
        """Slugs of the described causes of its checks; an empty one where some check has none."""
        return sorted({record.cause or "" for record in self.records})

    @property
    def worst(self) -> Record:
        return min(self.records, key=lambda r: (_headroom(r), natural_key(r.check_id)))


def _headroom(record: Record) -> float:
    headroom = headroom_of(record)
    return float("inf") if headroom is None else headroom


def problems(records: Iterable[Record]) -> dict[Outcome, list[Problem]]:
    """Groups by outcome, worst outcome first, largest group first; only outcomes that occur."""
    groups: dict[tuple[Outcome, str, str], Problem] = {}
    for record in records:
        if record.outcome not in FAILING:
            continue
        key = (record.outcome, str(record.phase), grouping_signature(record))
        groups.setdefault(key, Problem(*key)).records.append(record)
    found: dict[Outcome, list[Problem]] = {}
    for outcome in PROBLEMS:
        members = [problem for problem in groups.values() if problem.outcome is outcome]
        if members:
            found[outcome] = sorted(members, key=lambda p: (-len(p.records), p.phase, p.signature))
    return found


@dataclass(frozen=True)
class FallbackOperator:
    """An operator left to ExecuTorch's own kernels in `cases` cases; `missing` where it has none."""

    name: str
    cases: int
    missing: bool


def fallback_operators(records: Iterable[Record]) -> list[FallbackOperator]:
    """Operators seen outside the delegates, those without a kernel first: their programs do not load."""
    cases: dict[str, set[str]] = {}
    missing: set[str] = set()
    for record in records:
        for name in operators_of(record.fallback):
            cases.setdefault(name, set()).add(record.case)
        missing |= without_kernel(record)
    for name in missing:
        cases.setdefault(name, set())
    rows = [FallbackOperator(name, len(seen), name in missing) for name, seen in cases.items()]
    return sorted(rows, key=lambda row: (not row.missing, natural_key(row.name)))
