"""What a section of the page consists of; the renderer knows nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from benchmarks.sizes import Size
from benchmarks.spread import Spread, figures
from benchmarks.store import Measurement

Met = Literal["yes", "no", "not told"]


@dataclass(frozen=True)
class Table:
    """Numbers as text; the first column is words, the others are set to the right."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Goal:
    """What is wanted of a number: at least, or at most, `limit`."""

    what: str
    bound: Literal["at least", "at most"]
    limit: float
    measured: Spread
    unit: str = ""

    @property
    def met(self) -> Met:
        """`not told` when the limit lies within the spread."""
        low, high = self.measured.low, self.measured.high
        if self.bound == "at least":
            return "yes" if low >= self.limit else "no" if high < self.limit else "not told"
        return "yes" if high <= self.limit else "no" if low > self.limit else "not told"

    @property
    def wanted(self) -> str:
        return f"{self.bound} {figures(self.limit)}{self.unit}"


@dataclass(frozen=True)
class Findings:
    """What a section's results come to."""

    tables: tuple[Table, ...]
    goals: tuple[Goal, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Section:
    """A subject: what is to be measured for it, and what the results come to.

    What it compares says `templates/<name>.md.j2`. `summarise` is given the values of the measurements there are, by
    name.
    """

    name: str
    title: str
    wanted: tuple[str, ...]
    plan: Callable[[Size], Sequence[Measurement]]
    summarise: Callable[[Mapping[str, Any]], Findings] = field(repr=False)


def shown(spread: Spread, unit: str = "") -> str:
    """`7.10 (6.80 to 7.50)`."""
    return f"{figures(spread.middle)}{unit} ({figures(spread.low)} to {figures(spread.high)})"
