"""What triage came to, in words: causes and their checks by stage, and what nobody has explained yet."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from tabulate import tabulate

from harness.evidence.causes import STAGES, Cause
from harness.evidence.known_issues import KnownIssue, describe
from harness.evidence.record import Record, natural_key
from harness.evidence.vocabulary import FAILING
from harness.publish.markdown import counted
from harness.publish.problems import PROBLEMS, problems


def triage_text(
    records: Sequence[Record], causes: Sequence[Cause], limit: int | None = 10, only: str | None = None
) -> str:
    """Counts, then the untriaged groups with an example each, the largest `limit` of each outcome, or of one `only`.

    `records` name their causes. What works (`partial`, `fallback`) or judges nothing may have a cause and needs none.
    """
    found = Counter(record.cause for record in records if record.cause)
    untriaged = [r for r in records if not r.cause and r.outcome in FAILING]
    rows: list[tuple[object, ...]] = [
        (stage, len(members), sum(found[c.cause] for c in members))
        for stage in STAGES
        if (members := [c for c in causes if c.stage == stage])
    ]
    rows += [("triaged", len(causes), found.total()), ("untriaged", "", len(untriaged))]
    lines = [tabulate(rows, headers=["stage", "causes", "checks"], tablefmt="simple"), ""]
    groups = problems(untriaged)
    for outcome in PROBLEMS:
        alike = groups.get(outcome, [])
        if not alike or only not in (None, outcome):
            continue
        lines.append(f"untriaged {outcome}: {sum(len(g.records) for g in alike)} checks in {len(alike)} groups")
        for group in alike[:limit]:
            lines += [
                f"  {len(group.records):4}  {group.phase}: {group.signature[:160]}",
                f"        {group.worst.check_id}",
            ]
        if limit is not None and len(alike) > limit:
            lines.append(f"  and {len(alike) - limit} more groups (--all, or --outcome {outcome})")
    idle = [cause for cause in causes if not (found[cause.cause] or cause.seen)]
    for cause in list(idle):
        if taken := sorted({r.cause for r in records if r.cause and cause.explains(r)}):
            lines.append(f"{cause.cause}: all it would explain goes to causes before it: {', '.join(taken)}")
            idle.remove(cause)
    if idle:
        named = ", ".join(cause.cause for cause in idle[:limit])
        more = f" and {len(idle) - limit} more (--all)" if limit is not None and len(idle) > limit else ""
        lines.append(f"{counted(len(idle), 'cause')} without a check here: {named}{more}")
    return "\n".join(lines)


def changes_text(before: Iterable[KnownIssue], after: Iterable[KnownIssue], limit: int = 20) -> str:
    """How many patterns of the known issues moved, and from which cause to which."""
    old, new = _places(before), _places(after)
    moved: Counter[tuple[str, str]] = Counter()
    for pattern in old.keys() | new.keys():
        gone = old.get(pattern, set()) - new.get(pattern, set())
        come = new.get(pattern, set()) - old.get(pattern, set())
        if gone or come:
            moved[", ".join(sorted(gone)) or "(new)", ", ".join(sorted(come)) or "(gone)"] += 1
    lines = [f"known issues: {len(new)} patterns in {len(set().union(*new.values()))} causes"]
    lines[0] += f", {moved.total()} changed" if moved else ", unchanged"
    for (left, reached), count in sorted(moved.items(), key=lambda item: (-item[1], item[0]))[:limit]:
        lines.append(f"  {count:4}  {left} -> {reached}")
    if len(moved) > limit:
        lines.append(f"  and {len(moved) - limit} more moves")
    return "\n".join(lines)


def _places(issues: Iterable[KnownIssue]) -> dict[str, set[str]]:
    places: dict[str, set[str]] = defaultdict(set)
    for issue in issues:
        for pattern in issue.checks:
            places[pattern].add(issue.cause)
    return places


def checks_text(records: Iterable[Record]) -> str:
    """The checks of a cause, one a line: id, outcome and what was raised or measured."""
    return "\n".join(f"{r.check_id}\n    {describe(r)}" for r in sorted(records, key=lambda r: natural_key(r.check_id)))
