"""Modules as people write them: PyTorch's own in their variants, and lines of `forward`, weights as constants."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.cases import modules
from harness.cases.case import Case


def cases() -> Sequence[Case]:
    return modules.cases()


def test_module(check: Callable[[], object]) -> None:
    check()
