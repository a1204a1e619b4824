"""Programs of dynamic shapes: each size they are lowered for, and sizes they are not."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.cases import shapes
from harness.cases.case import Case


def cases() -> Sequence[Case]:
    return shapes.cases()


def test_shapes(check: Callable[[], object]) -> None:
    check()
