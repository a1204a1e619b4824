"""Operators by other recipes than the usual ones: every deployment target, none, and an edge dialect without its check.

The cases are those of the operators' suite at level `smoke`, one or a few for each operator.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from harness.cases import find
from harness.cases.case import Case
from harness.evidence.recipe import BARE, DEFAULT_RECIPES, PRECISIONS, TARGETS
from harness.evidence.vocabulary import Level

#: Every target in both precisions; no compile specs; and the edge configuration of the backend's own recipes.
RECIPES: tuple[str, ...] = (
    *(
        name
        for target in TARGETS
        for precision in PRECISIONS
        if (name := f"{precision}-{target}") not in DEFAULT_RECIPES
    ),
    BARE,
    *(f"{name}+unchecked" for name in DEFAULT_RECIPES),
)


def cases() -> Sequence[Case]:
    """Listed again with recipes of their own: their ids are those of the operators' suite."""
    return [replace(case, level=Level.STANDARD, recipes=RECIPES) for case in find.operators(Level.SMOKE)]
