"""Defects that are known, though no check of the evidence shows them: their checks belong to another level, or to
macOS, or a script alone shows them. An operator that has one does not work in every case, whatever was tried of it."""

from __future__ import annotations

import fnmatch
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from harness.evidence.causes import GENERAL, Cause
from harness.evidence.vocabulary import UNJUDGED, Outcome


@dataclass(frozen=True)
class KnownDefect:
    """A cause that no record names: the operators it strikes, as globs, what becomes of their calls, and of which."""

    cause: str
    operators: tuple[str, ...]
    outcomes: frozenset[Outcome]
    condition: str

    def strikes(self, operator: str) -> bool:
        return any(fnmatch.fnmatchcase(operator, glob) for glob in self.operators)


def known_defects(causes: Iterable[Cause], seen: Collection[str]) -> list[KnownDefect]:
    """Those of operators that are not among the `seen` causes, by name. What is documented, or refused cleanly, is
    none."""
    found = [
        KnownDefect(cause.cause, cause.operators, cause.outcomes - UNJUDGED, cause.condition)
        for cause in causes
        if cause.cause not in seen and cause.scope != GENERAL and cause.stage != "limitation"
    ]
    told = (one for one in found if one.operators and one.outcomes and one.condition)
    return sorted(told, key=lambda one: one.cause)
