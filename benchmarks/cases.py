"""The cases that are measured, and how a process gets ready to measure them. Imports torch when called."""

from __future__ import annotations

import logging
import random
import warnings
from collections.abc import Sequence
from typing import Any, TypeVar

RECIPES = ("fp32-ios18", "fp16-ios18")
WARM_UP = "ops/aten.sin.default/float32/opinfo-27f098"
SEED = 0

T = TypeVar("T")


def evenly(things: Sequence[T], count: int) -> list[T]:
    """`count` of them, or all, at equal distances."""
    count = min(count, len(things))
    return [things[len(things) * i // count] for i in range(count)]


def block(things: Sequence[T], number: int, of: int) -> list[T]:
    """Every `of`-th, beginning with `number`, so that blocks are alike."""
    return list(things[number::of])


def smoke(count: int) -> list[Any]:
    """`count` of OpInfo's cases spread evenly over level smoke."""
    from harness.cases import opinfo
    from harness.cases.case import at_level
    from harness.evidence.vocabulary import Level

    return evenly(at_level(opinfo.cases(), Level.SMOKE), count)


def shuffled() -> list[Any]:
    """The operator cases of level standard for the reference unit, in an order that is the same each time."""
    from harness.cases.case import at_level
    from harness.cases.find import operators
    from harness.evidence.unit import UnitSpec
    from harness.evidence.vocabulary import Level, Unit

    reference = UnitSpec(Unit.REFERENCE)
    cases = [case for case in at_level(operators(), Level.STANDARD) if case.runs_on(reference)]
    random.Random(SEED).shuffle(cases)
    return cases


def get_ready() -> None:
    """Import what is measured, on one thread, quietly."""
    import torch

    torch.set_num_threads(1)
    import executorch.backends.apple.coreml.partition
    import executorch.exir  # noqa: F401
    from torch.testing._internal.common_methods_invocations import op_db  # noqa: F401

    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
