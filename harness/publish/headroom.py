"""Where bounds are loose or tight: how often the worst error of each operator's checks fits into its bound."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from statistics import median

from tabulate import tabulate

from harness.evidence.files import Evidence, is_simulated
from harness.evidence.names import OpName
from harness.evidence.numerics import headroom_of, number
from harness.evidence.record import Record, natural_key
from harness.evidence.vocabulary import HarnessError, Trait, Unit, outcomes_with

#: Outcomes whose value was held against a bound. What fell back whole was computed by PyTorch, not by the backend.
JUDGED = outcomes_with(Trait.BOUNDED)
LOOSE, TIGHT = 10.0, 1.5
_ON_REFERENCE = (
    "The reference unit rounds once per MIL operator and accumulates wide: it shows a bound of n ulp as headroom 2 n, "
    "that of a sum as more the longer the sum."
)
#: Exact results fit into no bound any number of times.
_UNBOUNDED = "EXACT"


@dataclass(frozen=True)
class Headroom:
    """Checks of one operator under one class with one recipe on one unit; `worst` is the check of `smallest`.

    Headroom is bound / error at the element nearest to its bound: inf where every error is 0, below 1 outside.
    """

    operator: str
    recipe: str
    unit: str
    tolerance_class: str
    checks: int
    smallest: float
    middle: float
    worst: str

    @property
    def flag(self) -> str:
        """`outside` below 1, `tight` below 1.5, `loose` above 10 in every check, `no error` where none was seen."""
        if self.smallest < 1:
            return "outside"
        if self.smallest < TIGHT:
            return "tight"
        if math.isinf(self.smallest):
            return "no error"
        return "loose" if self.smallest > LOOSE else ""


def headrooms(records: Iterable[Record]) -> list[Headroom]:
    """One row per operator, recipe, unit and class with bounds, the tightest first."""
    groups: dict[tuple[str, str, str, str], list[tuple[float, Record]]] = {}
    for record in records:
        headroom = headroom_of(record)
        if record.outcome not in JUDGED or record.numerics is None or headroom is None:
            continue
        if record.numerics.tolerance_class == _UNBOUNDED:
            continue
        key = (record.subject, record.recipe, record.unit, record.numerics.tolerance_class)
        groups.setdefault(key, []).append((headroom, record))
    rows = []
    for key, members in groups.items():
        smallest, worst = min(members, key=lambda m: (m[0], natural_key(m[1].check_id)))
        middle = median(headroom for headroom, _ in members)
        rows.append(Headroom(*key, len(members), smallest, middle, worst.check_id))
    return sorted(rows, key=lambda row: (row.smallest, natural_key(row.operator), row.recipe, row.unit))


def render(evidence: Evidence, op: str | None = None) -> str:
    """The rows as aligned text, tightest first, and their number by flag.

    `op` is a glob on operators, with or without the overload, and API names. Raises `HarnessError` where nothing is
    left to show.
    """
    records = [r for r in evidence.records if not is_simulated(evidence.environments.get(r.environment))]
    if op is not None:
        records = [r for r in records if any(fnmatchcase(n, op) for n in (r.subject, OpName.parse(r.op).key, r.api))]
    rows = headrooms(records)
    if not rows:
        raise HarnessError(f"no record has a bound{'' if op is None else f' and matches --op {op}'}")
    cells = [
        (
            r.flag,
            r.operator,
            r.recipe,
            r.unit,
            r.tolerance_class,
            r.checks,
            number(r.smallest),
            number(r.middle),
            "" if math.isinf(r.smallest) else r.worst,
        )
        for r in rows
    ]
    headers = ["flag", "operator", "recipe", "unit", "class", "checks", "smallest", "median", "nearest to its bound"]
    align = ["left"] * 5 + ["right"] * 3 + ["left"]
    table = tabulate(cells, headers=headers, tablefmt="simple", disable_numparse=True, colalign=align)
    counts = Counter(row.flag or "between" for row in rows)
    order = ("outside", "tight", "between", "loose", "no error")
    summary = f"{len(rows)} rows: {', '.join(f'{counts[flag]} {flag}' for flag in order if counts[flag])}"
    if any(row.flag == "loose" and row.unit == Unit.REFERENCE for row in rows):
        summary += f"\n{_ON_REFERENCE}"
    return f"{table}\n\n{summary}"
