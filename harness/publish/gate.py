"""The release gate. It fails closed: what the baseline judged and the candidate does not is a regression, unless the
policy says otherwise in writing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from harness.evidence.files import Evidence
from harness.evidence.vocabulary import HarnessError
from harness.publish.changes import CLASSES, Change
from harness.publish.diff import Diff, diff
from harness.publish.policy import Action, Policy, Waiver


@dataclass(frozen=True)
class Finding:
    """A change and what the policy makes of it; a waived one counts for nothing."""

    change: Change
    action: Action
    waiver: Waiver | None = None

    @property
    def fails(self) -> bool:
        return self.action is Action.FAIL and self.waiver is None

    @property
    def warns(self) -> bool:
        return self.action is Action.WARN and self.waiver is None


@dataclass(frozen=True)
class Verdict:
    """All that the gate found; `unneeded` waivers cover checks that did not change for the worse."""

    diff: Diff
    policy: Policy
    findings: tuple[Finding, ...]
    unneeded: tuple[Waiver, ...] = ()

    @property
    def passes(self) -> bool:
        return not self.regressions

    @property
    def regressions(self) -> list[Change]:
        return self._changes(lambda finding: finding.fails)

    @property
    def warnings(self) -> list[Change]:
        return self._changes(lambda finding: finding.warns)

    def waived(self, waiver: Waiver) -> list[Change]:
        return self._changes(lambda finding: finding.waiver is waiver)

    def _changes(self, wanted: Callable[[Finding], bool]) -> list[Change]:
        return [finding.change for finding in self.findings if wanted(finding)]


def gate(baseline: Evidence, candidate: Evidence, policy: Policy) -> Verdict:
    """Raises `HarnessError` when too little is compared for a verdict, or a waiver is about nothing there is."""
    result = diff(baseline, candidate, policy.limits)
    for part in result.parts:
        if part.judged and (not part.compared or part.share < policy.minimum_compared):
            raise HarnessError(
                f"{candidate.path or 'the candidate'}: judges {part.compared:,} of the {part.judged:,} checks that the "
                f"baseline judged in {part.baseline}: too few for a verdict (minimum_compared = "
                f"{policy.minimum_compared:g})"
            )
    findings = tuple(Finding(c, policy.actions[c.kind], _waiver(c, policy)) for c in result.changes)
    used = {finding.waiver for finding in findings}
    unneeded = tuple(waiver for waiver in policy.waivers if waiver not in used)
    for waiver in unneeded:
        if not waiver.names_something((baseline, candidate), result.changes):
            raise HarnessError(f"{policy.path}: waiver of {waiver}: fits no check of either side")
    return Verdict(result, policy, findings, unneeded)


def _waiver(change: Change, policy: Policy) -> Waiver | None:
    if policy.actions[change.kind] is Action.IGNORE:
        return None
    return next((waiver for waiver in policy.waivers if waiver.covers(change)), None)


def by_class(changes: Iterable[Change]) -> dict[str, list[Change]]:
    """Changes of each class there is, in the order of the table."""
    found: dict[str, list[Change]] = {}
    for change in changes:
        found.setdefault(change.kind, []).append(change)
    return {kind: found[kind] for kind in CLASSES if kind in found}
