"""Operators by other recipes than the usual ones: every deployment target, none, and an edge dialect without its check.

The cases are those of the operators' suite at level `smoke`, one or a few for each operator.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from harness.cases import find
from harness.cases.case import Case
from harness.evidence.recipe import BARE, DEFAULT_RECIPES, TARGETS
from harness.evidence.vocabulary import Level

_LOWEST, _HIGHEST = next(iter(TARGETS)), next(reversed(TARGETS))
#: Every target in the backend's own precision, the lowest and the highest in the other, and no compile specs at all.
RECIPES: tuple[str, ...] = (
    *(name for target in TARGETS if (name := f"fp16-{target}") not in DEFAULT_RECIPES),
    *(f"fp32-{target}" for target in (_LOWEST, _HIGHEST)),
    BARE,
)
#: As the backend's own recipes configure the edge dialect: for operators that its check refuses.
UNCHECKED: tuple[str, ...] = tuple(f"{name}+unchecked" for name in DEFAULT_RECIPES)


def cases(refused: Collection[str]) -> Sequence[Case]:
    """Listed again with recipes of their own: their ids are those of the operators' suite. `refused` are the ids of
    cases that are refused before Core ML."""
    return [
        replace(case, level=Level.STANDARD, recipes=RECIPES + UNCHECKED * (case.id in refused))
        for case in find.operators(Level.SMOKE)
    ]
