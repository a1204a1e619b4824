"""Whole models: lowered, run, and judged by signal-to-quantization-noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.cases import models
from harness.cases.case import Case


def cases() -> Sequence[Case]:
    return models.cases()


def pretrained() -> Sequence[Case]:
    """Of runs with `--pretrained` only."""
    return models.pretrained()


def test_model(check: Callable[[], object]) -> None:
    check()
