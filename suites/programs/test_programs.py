"""Programs that older releases of ExecuTorch made: `.pte` files, run as they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.cases import programs
from harness.cases.case import Case


def cases() -> Sequence[Case]:
    return programs.cases()


def test_program(check: Callable[[], object]) -> None:
    check()
