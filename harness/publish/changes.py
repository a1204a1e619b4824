"""The classes of change between two sets of records, a row each, and one change.

What a gate makes of each class stands in a policy (`harness.publish.policy`), the default in `gate-policy.toml`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from harness.evidence.record import Record, natural_key
from harness.publish.measures import MEASURES

#: Name and meaning of every class, in the order in which a reader wants to know.
CLASSES: dict[str, str] = {
    "environment_gone": "an environment of the baseline has no counterpart in the candidate",
    "column_gone": "the candidate judges nothing at all on a recipe and unit on which the baseline judged",
    "not_judged": "the baseline judged it and the candidate does not, or cannot",
    "crash": "it crashes or runs out of time, and did not before",
    "worse": "the outcome is a worse one",
    "delegation_lost": "what was delegated is left to ExecuTorch, wholly or in part",
    "kernel_lost": "what is left to ExecuTorch has no kernel there any more",
    "placement_lost": "what the compute plan had on the ANE, or listed it for, it no longer does",
    "new_failure": "judged for the first time, it fails; the baseline knew its operator to work there",
    "not_measured": "a number that the baseline has is missing",
    **{measure.name: measure.meaning for measure in MEASURES},
    "first_failure": "judged for the first time, it fails; the baseline never saw its operator work there",
    "changed": "as bad as before in another way: phase, stage, error, or the reason it is not judged",
    "better": "the outcome is a better one, or more is delegated",
    "judged_now": "judged for the first time, it works",
    "new": "a check that the baseline has not, and that works or is not judged",
    "gone": "a check that the baseline could not judge and the candidate has not",
    "environment_new": "an environment of the candidate has no counterpart in the baseline",
}
ORDER = {name: place for place, name in enumerate(CLASSES)}


@dataclass(frozen=True)
class Change:
    """One change; a side is None where it has no such record.

    `name` is a check's id, `*@recipe@unit` for a whole column, an environment's id for a whole environment, which
    `checks` counts the checks of. `environment` is the candidate's, the baseline's where it has none there.
    """

    kind: str
    environment: str
    name: str
    before: Record | None = None
    after: Record | None = None
    detail: str = ""
    checks: int = 1

    @property
    def record(self) -> Record | None:
        return self.after or self.before

    @property
    def subject(self) -> str:
        """The operator or model that it is about; of a whole column or environment, its name."""
        return self.record.subject if self.record else self.name

    @property
    def cause(self) -> str:
        """As the candidate names it, or the baseline."""
        return next((side.cause for side in (self.after, self.before) if side and side.cause), "")

    @property
    def move(self) -> str:
        """`pass -> crash`; the outcome alone where it stays; empty for a whole column or environment."""
        if self.record is None:
            return ""
        sides = [str(side.outcome) if side else "absent" for side in (self.before, self.after)]
        return sides[0] if sides[0] == sides[1] else " -> ".join(sides)

    def __str__(self) -> str:
        return "  ".join(part for part in (self.move, self.name, self.detail) if part)

    def sort_key(self) -> tuple[int, str, list[tuple[int, int | str]]]:
        return ORDER[self.kind], self.environment, natural_key(self.name)


def counted(changes: Iterable[Change]) -> str:
    """`12 checks, 3 operators`."""
    changes = list(changes)
    checks = sum(change.checks for change in changes)
    operators = len({change.subject for change in changes if change.record})
    parts = [f"{checks:,} check{'' if checks == 1 else 's'}"]
    parts += [f"{operators:,} operator{'' if operators == 1 else 's'}"] if operators else []
    return ", ".join(parts)


def grouped(changes: Iterable[Change], limit: int | None) -> list[str]:
    """Lines: an operator, its changes indented below it, at most `limit` of each."""
    by_subject: dict[str, list[Change]] = {}
    for change in changes:
        by_subject.setdefault(change.subject, []).append(change)
    lines = []
    for subject in sorted(by_subject, key=natural_key):
        members = by_subject[subject]
        if not members[0].record:
            lines += [f"  {change}" for change in members]
            continue
        lines.append(f"  {subject}")
        lines += [f"    {change}" for change in members[:limit]]
        if limit is not None and len(members) > limit:
            lines.append(f"    and {len(members) - limit} more (--all shows them)")
    return lines
