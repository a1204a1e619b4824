"""Programs of several methods, in Core ML packages of several functions: each method by itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.cases import multifunction
from harness.cases.case import Case


def cases() -> Sequence[Case]:
    return multifunction.cases()


def test_method(check: Callable[[], object]) -> None:
    check()
