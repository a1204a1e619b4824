"""The release gate: silent when nothing got worse, otherwise the operators that did."""

from __future__ import annotations

from harness.evidence.files import Evidence
from harness.publish.diff import Change, Kind, counted, diff, grouped


def gate(baseline: Evidence, candidate: Evidence, *, allow_missing: bool = False) -> list[Change]:
    """Regressions of `candidate`, see `harness.publish.diff` for what is one.

    With `allow_missing` a check that is no longer measured is none: for a candidate that ran a part only.
    """
    regressions = diff(baseline, candidate).regressions
    return [r for r in regressions if not (allow_missing and r.kind is Kind.UNMEASURED)]


def render(regressions: list[Change], *, limit: int | None = 5) -> str:
    """Empty for none."""
    if not regressions:
        return ""
    return "\n".join([f"regressions: {counted(regressions)}", *grouped(regressions, limit)])
