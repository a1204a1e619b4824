"""The code examples of ExecuTorch's pages on Core ML, as they stand there."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.cases import documentation
from harness.cases.case import Case


def cases() -> Sequence[Case]:
    return documentation.cases()


def test_example(check: Callable[[], object]) -> None:
    check()
