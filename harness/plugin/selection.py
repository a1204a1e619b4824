"""What a run checks: the options, understood."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from harness.cases.case import Case, at_level, matches_op
from harness.evidence.durations import Durations, deal
from harness.evidence.recipe import DEFAULT_RECIPES, Recipe
from harness.evidence.unit import UnitSpec
from harness.evidence.vocabulary import HarnessError, Level
from harness.process.isolation import DEADLINE
from harness.units.registry import units_here


class Selection:
    """The options, understood; raises `HarnessError` for what cannot be."""

    def __init__(self, config: pytest.Config) -> None:
        self.units = [UnitSpec.parse(name) for name in config.getoption("--unit") or ()] or units_here()
        #: Those asked for; where none are, each case's own, else the default ones.
        self.recipes = list(dict.fromkeys(map(Recipe.parse, config.getoption("--recipe") or ())))
        self.ops: list[str] = config.getoption("--op") or []
        self.ane = bool(config.getoption("--ane"))
        try:
            self.level = Level(config.getoption("--level"))
        except ValueError:
            levels = ", ".join(Level)
            raise HarnessError(f"unknown level {config.getoption('--level')!r}: expected one of {levels}") from None
        self.shard = parse_shard(config.getoption("--shard"))
        self.deadline = parse_deadline(config.getoption("--deadline"))
        self._loads = [0.0] * self.shard[1]

    def cases(self, cases: Sequence[Case], durations: Callable[[], Durations] = Durations) -> list[Case]:
        """Those of the level, operators, units and shard asked for.

        Shards are even over all suites together, those asked for before included; each case is in one of them.
        """
        chosen = [case for case in at_level(cases, self.level) if any(self.pairs(case, unit) for unit in self.units)]
        if self.ops:
            chosen = [case for case in chosen if any(matches_op(case, pattern) for pattern in self.ops)]
        index, count = self.shard
        if count == 1:
            return chosen
        expected = durations()
        seconds = [expected.everywhere(case.id, whole_model=case.whole_model) for case in chosen]
        return [case for case, part in zip(chosen, deal(seconds, self._loads), strict=True) if part == index - 1]

    def recipes_of(self, case: Case) -> list[Recipe]:
        """The recipes a case is checked by: of its own those asked for; where it names none, those asked for."""
        more = case.at_full if self.recipes or self.level is Level.FULL else ()
        own = [Recipe.parse(name) for name in (*case.recipes, *more)]
        if not self.recipes:
            return own or [Recipe.parse(name) for name in DEFAULT_RECIPES]
        return [recipe for recipe in self.recipes if not own or recipe in own]

    def pairs(self, case: Case, unit: UnitSpec) -> bool:
        """Whether the case is checked on this unit."""
        return self.ane or case.runs_on(unit)


def parse_shard(text: str | None) -> tuple[int, int]:
    """`(I, N)` of `I/N`, counted from 1; raises `HarnessError`."""
    if text is None:
        return 1, 1
    first, _, second = text.partition("/")
    if not (first.isdecimal() and second.isdecimal() and 1 <= int(first) <= int(second)):
        raise HarnessError(f"--shard {text}: expected I/N with 1 <= I <= N")
    return int(first), int(second)


def parse_deadline(text: str | None) -> float:
    """Seconds; raises `HarnessError`."""
    try:
        seconds = DEADLINE if text is None else float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise HarnessError(f"--deadline {text}: expected a number of seconds above 0")
    return seconds
