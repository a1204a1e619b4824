"""The partitioner's own rules: its overrides, as they stand and switched off, and its options."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.cases import partitioner
from harness.cases.case import Case


def cases() -> Sequence[Case]:
    return partitioner.cases()


def test_rule(check: Callable[[], object]) -> None:
    check()
