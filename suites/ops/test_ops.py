"""Every ATen operator that PyTorch's OpInfo database leads to, sample by sample."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.cases import opinfo
from harness.cases.case import Case


def cases() -> Sequence[Case]:
    return opinfo.cases()


def test_operator(check: Callable[[], object]) -> None:
    check()
