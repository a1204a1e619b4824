"""Modules with mutable buffers: a call's result, and what it leaves in the buffers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.cases import state
from harness.cases.case import Case


def cases() -> Sequence[Case]:
    return state.cases()


def test_state(check: Callable[[], object]) -> None:
    check()
