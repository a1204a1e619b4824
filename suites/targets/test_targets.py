"""Operators by every deployment target, by none, and with the edge dialect not checked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from harness.cases import targets
from harness.cases.case import Case
from harness.evidence.ids import split_check_id
from harness.evidence.known_issues import KnownIssues
from harness.evidence.vocabulary import Outcome

KNOWN_ISSUES = Path(__file__).parents[1] / "known_issues"


def cases() -> Sequence[Case]:
    issues = KnownIssues.read(KNOWN_ISSUES).issues
    refused = {split_check_id(check)[0] for i in issues if i.outcome is Outcome.UNSUPPORTED for check in i.checks}
    return targets.cases(refused)


def test_target(check: Callable[[], object]) -> None:
    check()
