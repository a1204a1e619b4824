"""Two sets of records compared check by check, whatever environments they come from.

- worse, better: the outcome moved along `SEVERITY`; or it stayed and the delegation did: an operator newly left to
  ExecuTorch, or newly without a kernel there, is worse.
- changed: as bad as before, in another way (phase, stage, error signature), or a fault of the case turned into another.
- no longer measured: judged before; now `not_run` or `invalid_case`, or not among the records.
- measured now: the reverse. A failure there is a finding, not a regression: nothing is known of before.
- gone, new: not judged before, or not now, and absent from the other side.

Whether a check that is no longer measured counts against a release depends on the unit: where the candidate judges
nothing at all on that recipe and unit (no Mac, another recipe list), it says nothing about it. Where it does judge
others, the loss is a regression: otherwise a check that stops running would be the easiest way to a green gate.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from harness.evidence.files import Evidence, is_simulated
from harness.evidence.record import Record, natural_key
from harness.evidence.vocabulary import BEFORE_RUNNING, RANK, UNJUDGED, WORKING
from harness.publish.environments import describe_environment
from harness.publish.graphs import operators_of, without_kernel
from harness.publish.summary import what_went_wrong


class Kind(StrEnum):
    """How a check moved; in the order in which a reader wants to know."""

    WORSE = "worse"
    UNMEASURED = "no longer measured"
    BETTER = "better"
    CHANGED = "changed"
    MEASURED = "measured now"
    NEW = "new"
    GONE = "gone"


@dataclass(frozen=True)
class Change:
    """One check on both sides; a side is None where it has no such record."""

    kind: Kind
    before: Record | None
    after: Record | None
    detail: str
    regression: bool = False

    @property
    def record(self) -> Record:
        record = self.after or self.before
        assert record is not None
        return record

    @property
    def operator(self) -> str:
        return self.record.subject

    def __str__(self) -> str:
        sides = [str(side.outcome) if side else "absent" for side in (self.before, self.after)]
        move = sides[0] if sides[0] == sides[1] else " -> ".join(sides)
        return f"{move}  {self.record.check_id}" + (f"  {self.detail}" if self.detail else "")


@dataclass
class Diff:
    """All changes; `same` counts the checks without one."""

    baseline: list[str]
    candidate: list[str]
    changes: list[Change] = field(default_factory=list)
    same: int = 0

    def of(self, kind: Kind) -> list[Change]:
        return [change for change in self.changes if change.kind is kind]

    @property
    def regressions(self) -> list[Change]:
        return [change for change in self.changes if change.regression]


def diff(baseline: Evidence, candidate: Evidence) -> Diff:
    """Compare by check id."""
    before, after = one_per_check(baseline), one_per_check(candidate)
    measured = {(record.recipe, record.unit) for record in after.values() if _ran(record)}
    result = Diff(_environments(baseline), _environments(candidate))
    for check in before.keys() | after.keys():
        change = compare(before.get(check), after.get(check), measured)
        if change is None:
            result.same += 1
        else:
            result.changes.append(change)
    result.changes.sort(key=lambda change: natural_key(change.record.check_id))
    return result


def one_per_check(evidence: Evidence) -> dict[str, Record]:
    """One record for each check id where several environments hold it: a real one before a simulated one, one that
    judges before one that does not, the worse before the better."""
    chosen: dict[str, Record] = {}
    for record in evidence.records:
        other = chosen.get(record.check_id)
        if other is None or _preference(record, evidence) > _preference(other, evidence):
            chosen[record.check_id] = record
    return chosen


def _preference(record: Record, evidence: Evidence) -> tuple[bool, int, str]:
    real = not is_simulated(evidence.environments.get(record.environment))
    return real, RANK.get(record.outcome, -1), record.environment


def _ran(record: Record) -> bool:
    """True when the unit itself judged something; a refusal to lower is the same on every unit."""
    return record.outcome not in UNJUDGED and record.phase not in BEFORE_RUNNING


def compare(before: Record | None, after: Record | None, measured: set[tuple[str, str]]) -> Change | None:
    """The change of one check, None when there is none.

    `measured` are the (recipe, unit) pairs on which the candidate judges anything.
    """
    if before is None or after is None:
        return _one_sided(before, after, measured)
    judged = [record.outcome not in UNJUDGED for record in (before, after)]
    if judged == [True, False]:
        return _unmeasured(before, after, measured, after.reason)
    if judged == [False, True]:
        return Change(Kind.MEASURED, before, after, _wrong(after))
    if judged == [False, False]:
        same = before.outcome is after.outcome and before.reason == after.reason
        return None if same else Change(Kind.CHANGED, before, after, after.reason)
    step = RANK[after.outcome] - RANK[before.outcome]
    if step > 0:
        return Change(Kind.WORSE, before, after, _wrong(after), regression=True)
    if step < 0:
        return Change(Kind.BETTER, before, after, _wrong(after))
    return _same_outcome(before, after)


def _one_sided(before: Record | None, after: Record | None, measured: set[tuple[str, str]]) -> Change:
    if after is not None:
        return Change(Kind.NEW, None, after, _wrong(after))
    assert before is not None
    if before.outcome in UNJUDGED:
        return Change(Kind.GONE, before, None, "")
    return _unmeasured(before, None, measured, "")


def _unmeasured(before: Record, after: Record | None, measured: set[tuple[str, str]], reason: str) -> Change:
    regression = (before.recipe, before.unit) in measured
    if not regression and not reason:
        reason = f"the candidate judges nothing on {before.recipe} {before.unit}"
    return Change(Kind.UNMEASURED, before, after, reason, regression=regression)


def _same_outcome(before: Record, after: Record) -> Change | None:
    """Equal outcomes: what was delegated may have moved, or the failure may be another one."""
    lost = _left_out(after) - _left_out(before)
    won = _left_out(before) - _left_out(after)
    kernels = without_kernel(after) - without_kernel(before)
    if kernels:
        return Change(Kind.WORSE, before, after, f"no kernel for {', '.join(sorted(kernels))}", regression=True)
    if lost:
        return Change(Kind.WORSE, before, after, f"no longer delegated: {', '.join(sorted(lost))}", regression=True)
    if won:
        return Change(Kind.BETTER, before, after, f"no longer left out: {', '.join(sorted(won))}")
    if before.phase is not after.phase:
        return Change(Kind.CHANGED, before, after, f"phase {before.phase} -> {after.phase}: {_wrong(after)}")
    if before.stage and after.stage and before.stage != after.stage:
        return Change(Kind.CHANGED, before, after, f"stage {before.stage} -> {after.stage}: {_wrong(after)}")
    if _signature(before) != _signature(after):
        return Change(Kind.CHANGED, before, after, f"{_wrong(before)} -> {_wrong(after)}")
    return None


def _left_out(record: Record) -> set[str]:
    return set(operators_of(record.fallback))


def _signature(record: Record) -> tuple[str, str] | None:
    return (record.error.type, record.error.signature) if record.error else None


def _wrong(record: Record) -> str:
    return "" if record.outcome in WORKING else what_went_wrong(record)


def _environments(evidence: Evidence) -> list[str]:
    return [describe_environment(evidence.environments[name]) for name in sorted(evidence.environments)]


def render(result: Diff, *, limit: int | None = 5) -> str:
    """The whole comparison as text, grouped by kind and operator; at most `limit` checks of each operator."""
    lines = [f"baseline:  {text}" for text in result.baseline or ["unknown environment"]]
    lines += [f"candidate: {text}" for text in result.candidate or ["unknown environment"]]
    for kind in Kind:
        changes = result.of(kind)
        if changes:
            lines += ["", f"{kind} ({counted(changes)})", *grouped(changes, limit)]
    totals = ", ".join(f"{len(changes)} {kind}" for kind in Kind if (changes := result.of(kind)))
    return "\n".join([*lines, "", f"{totals or 'no change'}, {result.same} unchanged"])


def counted(changes: list[Change]) -> str:
    checks, operators = len(changes), len({change.operator for change in changes})
    return f"{checks} check{'' if checks == 1 else 's'}, {operators} operator{'' if operators == 1 else 's'}"


def grouped(changes: Iterable[Change], limit: int | None) -> list[str]:
    """Lines: an operator, its changes indented below it."""
    by_operator: dict[str, list[Change]] = {}
    for change in changes:
        by_operator.setdefault(change.operator, []).append(change)
    lines = []
    for operator in sorted(by_operator, key=natural_key):
        members = by_operator[operator]
        lines.append(f"  {operator}")
        lines += [f"    {change}" for change in members[:limit]]
        if limit is not None and len(members) > limit:
            lines.append(f"    and {len(members) - limit} more (--all shows them)")
    return lines
