"""Operators by every deployment target, by none, and with the edge dialect not checked."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.cases import targets
from harness.cases.case import Case


def cases() -> Sequence[Case]:
    return targets.cases()


def test_target(check: Callable[[], object]) -> None:
    check()
