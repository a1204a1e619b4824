"""Options of the partitioner and of its compile specs, alone and in pairs, right and wrong ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.cases import options
from harness.cases.case import Case


def cases() -> Sequence[Case]:
    return options.cases()


def test_option(check: Callable[[], object]) -> None:
    check()
