"""The release gate: silent when nothing got worse, otherwise the operators that did."""

from __future__ import annotations

from harness.evidence.files import Evidence
from harness.evidence.vocabulary import UNJUDGED, HarnessError
from harness.publish.diff import Change, Diff, Kind, counted, diff, grouped, one_per_check


def gate(baseline: Evidence, candidate: Evidence, *, allow_missing: bool = False) -> list[Change]:
    """Regressions of `candidate`, see `harness.publish.diff` for what is one.

    With `allow_missing` a check that is no longer measured is none: for a candidate that ran a part only.
    `HarnessError` when the two have no judged check in common: a comparison of nothing must not look like a good one.
    """
    return regressions(comparable(baseline, candidate), allow_missing=allow_missing)


def comparable(baseline: Evidence, candidate: Evidence) -> Diff:
    """The diff; `HarnessError` when no check is judged on both sides."""
    judged = [
        {check for check, record in one_per_check(side).items() if record.outcome not in UNJUDGED}
        for side in (baseline, candidate)
    ]
    if not judged[0] & judged[1]:
        raise HarnessError(f"{candidate.path or 'candidate'}: judges no check of {baseline.path or 'the baseline'}")
    return diff(baseline, candidate)


def regressions(result: Diff, *, allow_missing: bool = False) -> list[Change]:
    return [r for r in result.regressions if not (allow_missing and r.kind is Kind.UNMEASURED)]


def not_compared(result: Diff) -> str:
    """One line on what the candidate could not say anything about; empty when there is nothing of the kind."""
    skipped = [change for change in result.of(Kind.UNMEASURED) if not change.regression]
    if not skipped:
        return ""
    where = sorted({f"{change.record.recipe} {change.record.unit}" for change in skipped})
    return f"not compared: {counted(skipped)}; the candidate judges nothing on {', '.join(where)}"


def render(changes: list[Change], *, limit: int | None = 5) -> str:
    """Empty for none."""
    if not changes:
        return ""
    return "\n".join([f"regressions: {counted(changes)}", *grouped(changes, limit)])
