"""The support matrix: records aggregated to operators, API entries and models, per recipe and unit.

What counts as evidence for an operator
- Only cases whose graph contains it. Where a failure came before the graph was known, it counts for the operator
  the case was made for. A program that works although its graph is empty (a view of its input), or all of whose
  outputs are empty so that no value was compared, is evidence for none.
- In a program that works, each operator is judged by itself: delegated is `pass`, not delegated `fallback`, both
  `partial`; the case's own outcome may be worse because of its neighbours.
- In a program that fails, the blame goes to the operator the case was made for, or to the only one there is. Where
  neither holds, it stays with the API entry.
- A model that works is evidence for every operator in it, one that does not for none.
- How close a result came to its bound is told by the cases made for the operator: in others, and where it stands
  between a convolution and a linear layer to attract the ANE, the bound is another's too.

Status of a cell: the worst judged outcome in it, in the order of `SEVERITY`. `not_run` and `invalid_case` judge
nothing; a cell with nothing else in it is not measured, which is neither support nor the lack of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.evidence.files import Evidence
from harness.evidence.record import Numerics, Record, natural_key
from harness.evidence.vocabulary import HARDWARE_UNITS, RANK, SEVERITY, UNJUDGED, WORKING, HarnessError, Outcome, Unit
from harness.publish.ane import LAYERS, Ane, attracts, whole
from harness.publish.naming import (
    group_by_packet,
    is_model,
    is_operator,
    is_operator_case,
    may_fill,
    model_name,
    operators_of,
    packet_of,
    same_operator,
)

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

    `judged` are the pairs of dtype and recipe in which a check judged it.
    """

    name: str
    cells: dict[Column, Cell] = field(default_factory=dict)
    judged: set[tuple[str, str]] = field(default_factory=set)
    related: set[str] = field(default_factory=set)
    cases: dict[Outcome, set[str]] = field(default_factory=dict)

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


_EMPTY = Cell()


@dataclass(frozen=True)
class ModelRow:
    """One check of a whole model; `nodes` and `delegated` count graph nodes."""

    model: str
    record: Record
    delegated: int
    nodes: int

    @property
    def percent(self) -> float | None:
        return 100.0 * self.delegated / self.nodes if self.nodes else None


@dataclass
class Matrix:
    """Everything the pages show. `records` are those that may be shown; `ignored` counts the simulated ones."""

    environments: dict[str, dict[str, Any]]
    columns: list[Column]
    operators: list[Row]
    apis: list[Row]
    models: list[ModelRow]
    records: list[Record]
    ignored: int

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
    """Aggregate; `HarnessError` for a record whose environment the evidence does not describe."""
    for record in evidence.records:
        if record.environment not in evidence.environments:
            where = f"{evidence.path}: " if evidence.path else ""
            raise HarnessError(f"{where}{record.check_id} names environment {record.environment!r}, described nowhere")
    records = [r for r in evidence.records if may_fill(r.unit, evidence.environments[r.environment])]
    in_graphs = group_by_packet(name for r in records if is_operator_case(r) for name in graph_of(r))
    operators: dict[str, Row] = {}
    apis: dict[str, Row] = {}
    for record in records:
        if not is_operator_case(record) and not (is_model(record) and record.outcome in WORKING):
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
        if api and is_operator_case(record):
            row = apis.setdefault(api, Row(api))
            row.add(column, record.outcome, record, graph_of(record))
            row.cells[column].ane.count(record.outcome, record, environment, whole(record), attracting=attracts(record))
    columns = {Column(r.recipe, r.unit, r.environment) for r in records if r.outcome not in UNJUDGED}
    used = {record.environment for record in records}
    return Matrix(
        environments={name: block for name, block in evidence.environments.items() if name in used},
        columns=sorted(columns, key=Column.sort_key),
        operators=sorted_rows(operators),
        apis=sorted_rows(apis),
        models=[_model_row(record) for record in records if is_model(record)],
        records=records,
        ignored=len(evidence.records) - len(records),
    )


def attribute(record: Record, in_graphs: Mapping[str, set[str]] | None = None) -> Iterator[tuple[str, Outcome]]:
    """`(operator, outcome)` for every operator this record is evidence for; rules in the module's docstring.

    `in_graphs` are the operators seen in any graph, as `group_by_packet` gives them: a failure before the graph was
    known is put under the name the operator has there.
    """
    outcome = record.outcome
    graph = graph_of(record)
    if not graph:
        if is_operator(record.op) and outcome not in WORKING:
            yield _name_in_graphs(record.op, in_graphs or {}), outcome
        return
    if nothing_compared(record):
        return
    if outcome in WORKING:
        for name in graph:
            yield name, _own_outcome(name, record)
        return
    own = [name for name in graph if record.op and same_operator(record.op, name)]
    suspects = sorted(operators_of(record.delegated or record.fallback))
    if not own and len(suspects) == 1:
        own = suspects
    for name in own:
        # An operator that stayed outside the delegates did not cause what went wrong inside them.
        innocent = outcome not in UNJUDGED and record.delegated and name not in record.delegated
        yield name, Outcome.FALLBACK if innocent else outcome


def stands_for(record: Record, name: str) -> bool:
    """Whether an operator of the graph is what the case was made for, or what that was taken apart into; the layers
    around it are not."""
    named = [other for other in graph_of(record) if same_operator(record.op, other)]
    return name in named if named else name not in LAYERS


def nothing_compared(record: Record) -> bool:
    """True for a program that works and whose outputs are all empty: its shapes are right, no value was seen."""
    numerics = record.numerics
    return record.outcome in WORKING and numerics is not None and numerics.worst is None and numerics.max_abs is None


def graph_of(record: Record) -> list[str]:
    """The operators of the lowered graph, delegated or not, by name; empty where lowering did not get that far."""
    return sorted(operators_of(record.delegated) | operators_of(record.fallback))


def _own_outcome(name: str, record: Record) -> Outcome:
    if name not in record.fallback:
        return Outcome.PASS
    return Outcome.PARTIAL if name in record.delegated else Outcome.FALLBACK


def _name_in_graphs(operator: str, in_graphs: Mapping[str, set[str]]) -> str:
    near = in_graphs.get(packet_of(operator), set())
    matches = [name for name in near if same_operator(operator, name)]
    return matches[0] if len(matches) == 1 else operator


def worst(outcomes: Iterable[Outcome]) -> Outcome | None:
    """The worst judged outcome by `SEVERITY`, None when there is none."""
    return max((o for o in outcomes if o in RANK), key=RANK.__getitem__, default=None)


def headroom_of(record: Record) -> float | None:
    """limit / worst of a judged value, None where nothing was compared (or NaN)."""
    headroom = record.numerics.headroom if record.numerics else None
    return None if headroom is None or headroom != headroom else headroom


def numerics_text(numerics: Numerics | None) -> str:
    """`ULP: 2.4e-4 of 4.9e-4 (x2)`: class, worst error, its bound, how many times it fits."""
    if numerics is None:
        return ""
    if numerics.sqnr_db is not None and numerics.limit is None:
        return f"{numerics.tolerance_class}: {numerics.sqnr_db:.1f} dB"
    if numerics.worst is None or numerics.limit is None:
        return numerics.tolerance_class
    if numerics.worst == 0:
        return f"{numerics.tolerance_class}: exact"
    headroom = f" (x{numerics.headroom:.2g})" if numerics.headroom is not None else ""
    return f"{numerics.tolerance_class}: {numerics.worst:.2g} of {numerics.limit:.2g}{headroom}"


def _model_row(record: Record) -> ModelRow:
    delegated = sum(operators_of(record.delegated).values())
    return ModelRow(model_name(record), record, delegated, delegated + sum(operators_of(record.fallback).values()))


def sorted_rows(rows: dict[str, Row]) -> list[Row]:
    return sorted(rows.values(), key=lambda row: natural_key(row.name))
