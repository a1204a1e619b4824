"""Blocks that models are built of, cut out of their exported programs: attention, feed-forward, inverted residuals."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.cases import extracted
from harness.cases.case import Case


def cases() -> Sequence[Case]:
    return extracted.block_cases()


def test_block(check: Callable[[], object]) -> None:
    check()
