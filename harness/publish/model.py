"""The model that pages are made from: records grouped once, to operators, API entries and whole programs.

What a record is, its kind says. Cases made to try an operator count for the operators in their graphs (see
`harness.publish.attribution`) and for the API entry they call; models, modules with state and programs of several
methods are shown under their own names.

Status of a cell: the worst judged outcome in it, in the order of `SEVERITY`. `not_run` and `invalid_case` judge
nothing; a cell with nothing else in it is not measured, which is neither support nor the lack of it.
"""

from __future__ import annotations

import functools
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.evidence.files import Evidence
from harness.evidence.names import by_packet, same_operator
from harness.evidence.numerics import headroom_of
from harness.evidence.recipe import DEFAULT_RECIPES, TARGETS, Recipe
from harness.evidence.record import Record, natural_key
from harness.evidence.vocabulary import (
    DELEGATED,
    HARDWARE_UNITS,
    OF_OPERATORS,
    OF_PROGRAMS,
    RANK,
    SEVERITY,
    UNJUDGED,
    WORKING,
    HarnessError,
    Kind,
    Outcome,
    Unit,
)
from harness.publish.ane import Ane, attracts, whole
from harness.publish.attribution import attribute, stands_for
from harness.publish.environments import may_fill
from harness.publish.graphs import graph_of, operators_of

NOT_MEASURED = "not measured"
_UNIT_ORDER = {str(unit): position for position, unit in enumerate(Unit)}


@dataclass(frozen=True)
class Column:
    """One measured combination; outcomes of two environments are never mixed in a cell."""

    recipe: str
    unit: str
    environment: str

    def sort_key(self) -> tuple[str, int, str, str]:
        return (self.environment, _UNIT_ORDER.get(self.unit, len(_UNIT_ORDER)), self.unit, self.recipe)


@dataclass
class Cell:
    """Counts of outcomes, the record that came closest to its bound, and what compute plans say of the ANE."""

    counts: Counter[Outcome] = field(default_factory=Counter)
    closest: Record | None = None
    ane: Ane = field(default_factory=Ane)

    @property
    def judged(self) -> int:
        return sum(count for outcome, count in self.counts.items() if outcome not in UNJUDGED)

    @property
    def passed(self) -> int:
        return self.counts[Outcome.PASS]

    @property
    def status(self) -> Outcome | None:
        """The worst judged outcome; None when nothing was judged."""
        return worst(self.counts)

    @property
    def text(self) -> str:
        """`pass 41`, or `pass 40/41, wrong_value 1`: passes first, then the worst."""
        judged = self.judged
        if not judged:
            return NOT_MEASURED
        if self.passed == judged:
            return f"pass {judged}"
        parts = [f"pass {self.passed}/{judged}"] if self.passed else []
        others = [outcome for outcome in reversed(SEVERITY) if self.counts[outcome] and outcome is not Outcome.PASS]
        return ", ".join(parts + [f"{outcome} {self.counts[outcome]}" for outcome in others])

    def add(self, outcome: Outcome, record: Record, *, own: bool = True) -> None:
        """Count one check. `own` says whether it was made for this row, so that its bound is this row's."""
        self.counts[outcome] += 1
        headroom = headroom_of(record)
        if own and headroom is not None:
            before = headroom_of(self.closest) if self.closest else None
            if before is None or headroom < before:
                self.closest = record


@dataclass
class Row:
    """An ATen operator or an API entry: `related` holds the API entries that reach it, or the operators it becomes.

    `judged` are the pairs of dtype and recipe in which a check judged it. `lowest` is the lowest deployment target at
    which it was delegated with the right result, by coremltools' name, empty where none is known; `quantizations` are
    the schemes with which it was.
    """

    name: str
    cells: dict[Column, Cell] = field(default_factory=dict)
    judged: set[tuple[str, str]] = field(default_factory=set)
    related: set[str] = field(default_factory=set)
    cases: dict[Outcome, set[str]] = field(default_factory=dict)
    lowest: str = ""
    quantizations: set[str] = field(default_factory=set)

    def cell(self, column: Column) -> Cell:
        return self.cells.get(column, _EMPTY)

    @property
    def dtypes(self) -> set[str]:
        return {dtype for dtype, _ in self.judged}

    @property
    def status(self) -> Outcome | None:
        """The worst status of its cells."""
        return worst(status for cell in self.cells.values() if (status := cell.status))

    @property
    def closest(self) -> Record | None:
        """Of all cells, the record that came closest to its bound."""
        records = [cell.closest for cell in self.cells.values() if cell.closest]
        return min(records, key=lambda record: headroom_of(record) or 0.0, default=None)

    def ane(self) -> dict[str, Ane]:
        """By environment, what compute plans say of it over all columns; only where the ANE was asked for."""
        found: dict[str, Ane] = {}
        for column, cell in self.cells.items():
            if cell.ane:
                found[column.environment] = found.get(column.environment, Ane()) + cell.ane
        return dict(sorted(found.items()))

    def add(
        self, column: Column, outcome: Outcome, record: Record, related: Iterable[str], *, own: bool = True
    ) -> None:
        self.cells.setdefault(column, Cell()).add(outcome, record, own=own)
        self.cases.setdefault(outcome, set()).add(record.case)
        if record.dtype and outcome not in UNJUDGED:
            self.judged.add((record.dtype, column.recipe))
        self.related.update(name for name in related if name)

    def delegated_by(self, recipe: Recipe) -> None:
        """Count a recipe by which it was delegated with the right result."""
        if recipe.quantization:
            self.quantizations.add(recipe.quantization)
        elif recipe.target and (not self.lowest or recipe.loaded_as.specification < _specification(self.lowest)):
            self.lowest = recipe.target


_EMPTY = Cell()


@dataclass(frozen=True)
class ProgramRow:
    """One check of a whole program, under its own name; `nodes` and `delegated` count graph nodes."""

    name: str
    record: Record
    delegated: int
    nodes: int

    @property
    def percent(self) -> float | None:
        return 100.0 * self.delegated / self.nodes if self.nodes else None


@dataclass(frozen=True)
class Place:
    """Where a check was done."""

    unit: str
    environment: str


#: Judged records of one case and recipe, by place.
Checks = Mapping[tuple[str, str], Mapping[Place, Record]]


@dataclass
class Matrix:
    """Everything the pages show.

    `shown` are the records that may be shown, in the order of the evidence: `records` of what a user's program comes
    to by the usual recipes, `beside` by others, `partitioner` of trials of the partitioner's rules. `environments` are
    those of `records`, `described` all that the evidence describes. `ignored` counts the simulated records.
    """

    described: dict[str, dict[str, Any]]
    environments: dict[str, dict[str, Any]]
    columns: list[Column]
    operators: list[Row]
    apis: list[Row]
    programs: list[ProgramRow]
    shown: list[Record]
    records: list[Record]
    beside: list[Record]
    partitioner: list[Record]
    ignored: int

    @functools.cached_property
    def checks(self) -> Checks:
        """Judged `records` side by side, sorted by case and recipe."""
        checks: dict[tuple[str, str], dict[Place, Record]] = defaultdict(dict)
        judged = [record for record in self.records if record.outcome not in UNJUDGED]
        for record in sorted(judged, key=lambda r: (natural_key(r.case), r.recipe)):
            checks[record.case, record.recipe][Place(record.unit, record.environment)] = record
        return checks

    @property
    def asks_for_ane(self) -> bool:
        """Whether a check ran, or would have run, where Core ML may use the ANE."""
        return any(cell.ane for row in (*self.operators, *self.apis) for cell in row.cells.values())

    @property
    def unmeasured_units(self) -> list[str]:
        """Units of Core ML itself for which no record judges anything."""
        measured = {column.unit for column in self.columns}
        return [str(unit) for unit in HARDWARE_UNITS if unit not in measured]


def build_matrix(evidence: Evidence) -> Matrix:
    """Group and aggregate; `HarnessError` for a record whose environment the evidence does not describe."""
    for record in evidence.records:
        if record.environment not in evidence.environments:
            where = f"{evidence.path}: " if evidence.path else ""
            raise HarnessError(f"{where}{record.check_id} names environment {record.environment!r}, described nowhere")
    shown = [r for r in evidence.records if may_fill(r.unit, evidence.environments[r.environment])]
    programs = [record for record in shown if record.kind is not Kind.PARTITIONER]
    usual = usual_recipes(programs)
    records = [record for record in programs if record.recipe in usual]
    beside = [record for record in programs if record.recipe not in usual]
    in_graphs = by_packet(name for r in records if r.kind in OF_OPERATORS for name in graph_of(r))
    operators: dict[str, Row] = {}
    apis: dict[str, Row] = {}
    for record in records:
        if not _counts_for_operators(record):
            continue
        column = Column(record.recipe, record.unit, record.environment)
        environment = evidence.environments[record.environment]
        # A case that calls its operator by its own name was reached through no public function.
        api = record.api if record.api != record.op else ""
        for name, outcome in attribute(record, in_graphs):
            row = operators.setdefault(name, Row(name))
            own = graph_of(record) == [name] or (same_operator(record.op, name) and not attracts(record))
            row.add(column, outcome, record, [api], own=own)
            entry, between = record.aten_placement.get(name), attracts(record) and stands_for(record, name)
            row.cells[column].ane.count(outcome, record, environment, entry, attracting=between)
        if api and record.kind in OF_OPERATORS:
            row = apis.setdefault(api, Row(api))
            row.add(column, record.outcome, record, graph_of(record))
            row.cells[column].ane.count(record.outcome, record, environment, whole(record), attracting=attracts(record))
    for record in programs:
        if record.outcome in DELEGATED:
            for name, outcome in attribute(record, in_graphs):
                if name in operators and outcome in DELEGATED:
                    operators[name].delegated_by(Recipe.parse(record.recipe))
    columns = {Column(r.recipe, r.unit, r.environment) for r in records if r.outcome not in UNJUDGED}
    used = {record.environment for record in records}
    return Matrix(
        described=evidence.environments,
        environments={name: block for name, block in evidence.environments.items() if name in used},
        columns=sorted(columns, key=Column.sort_key),
        operators=sorted_rows(operators),
        apis=sorted_rows(apis),
        programs=[_program_row(record) for record in records if record.kind in OF_PROGRAMS],
        shown=shown,
        records=records,
        beside=beside,
        partitioner=[record for record in shown if record.kind is Kind.PARTITIONER],
        ignored=sum(record.kind is not Kind.PARTITIONER for record in evidence.records) - len(programs),
    )


def _counts_for_operators(record: Record) -> bool:
    """Whether a record may be evidence for operators: also a failing one of a module, which has few."""
    if record.kind in OF_PROGRAMS:
        return record.outcome in WORKING
    return record.kind in OF_OPERATORS or record.kind is Kind.MODULE


def usual_recipes(records: Iterable[Record]) -> set[str]:
    """The default recipes, of which tables have columns; where none was run, all that were."""
    seen = {record.recipe for record in records}
    return seen & set(DEFAULT_RECIPES) or seen


def _specification(target: str) -> int:
    return TARGETS[target.lower()].specification


def worst(outcomes: Iterable[Outcome]) -> Outcome | None:
    """The worst judged outcome by `SEVERITY`, None when there is none."""
    return max((o for o in outcomes if o in RANK), key=RANK.__getitem__, default=None)


def _program_row(record: Record) -> ProgramRow:
    delegated = sum(operators_of(record.delegated).values())
    return ProgramRow(record.subject, record, delegated, delegated + sum(operators_of(record.fallback).values()))


def sorted_rows(rows: dict[str, Row]) -> list[Row]:
    return sorted(rows.values(), key=lambda row: natural_key(row.name))
