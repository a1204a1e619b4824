"""Quantized modules by every scheme: agreement with the quantized module, cost against the module before, size."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.cases import quantization
from harness.cases.case import Case


def cases() -> Sequence[Case]:
    return quantization.cases()


def test_quantized(check: Callable[[], object]) -> None:
    check()
