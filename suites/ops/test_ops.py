"""Every operator of the universe: PyTorch's OpInfo samples, and calls varied by axis."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.cases import find
from harness.cases.case import Case


def cases() -> Sequence[Case]:
    return find.operators()


def test_operator(check: Callable[[], object]) -> None:
    check()
