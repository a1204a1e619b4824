"""How far the operator universe is covered: by cases, by graphs, by verdicts; and why the rest is not.

An operator is contained in a graph under its own name or, being a view, under that of its copying variant, which is
what the edge dialect puts in its place. It is *covered* when a case is made for it or when the graph of any case
contains it, and *judged* when a cell of the matrix says how it came out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from harness.evidence.names import OpName
from harness.evidence.record import Record
from harness.evidence.universe import Operator, Universe
from harness.evidence.vocabulary import HarnessError
from harness.publish.graphs import graph_of

NO_REASON = "NO CASE, NO REASON"


@dataclass(frozen=True)
class Coverage:
    """One row of the universe: `cases` made for it, `graphs` of cases that contain it; a `reason` when neither."""

    operator: Operator
    cases: int
    graphs: int
    reason: str = ""

    @property
    def covered(self) -> bool:
        return bool(self.cases or self.graphs)

    @property
    def explained(self) -> bool:
        return self.covered or bool(self.reason)


def names_in_graphs(operator: Operator) -> tuple[str, ...]:
    """The names under which graphs contain it."""
    name = OpName.parse(operator.name)
    if "view" in operator.tags and not name.is_copy:
        return operator.name, str(name.copying)
    return (operator.name,)


def coverage(
    universe: Universe, cases: Mapping[str, int], records: Iterable[Record], reasons: Mapping[str, str]
) -> list[Coverage]:
    """Every row of the universe; `cases` counts cases by the operator they are made for."""
    graphs = graphs_by_operator(records)
    rows = []
    for operator in universe.operators.values():
        contained = set().union(*(graphs.get(name, ()) for name in names_in_graphs(operator)))
        row = Coverage(operator, cases.get(operator.name, 0), len(contained))
        rows.append(row if row.covered else Coverage(operator, 0, 0, reasons.get(operator.name, "")))
    return rows


def graphs_by_operator(records: Iterable[Record]) -> dict[str, set[str]]:
    """Cases by the operators their graphs contain."""
    graphs: dict[str, set[str]] = {}
    for record in records:
        for name in graph_of(record):
            graphs.setdefault(name, set()).add(record.case)
    return graphs


def leading_apis(universe: Universe, made_for: Mapping[str, Iterable[str]], records: Iterable[Record]) -> set[str]:
    """The public functions that lead to an operator of the universe.

    `made_for` are the operators that the cases of each function are made for; a function leads also to what the graphs
    of its records contain.
    """
    names = {name for operator in universe.operators.values() for name in names_in_graphs(operator)}
    found = {api for api, operators in made_for.items() if not names.isdisjoint(operators)}
    found |= {record.api for record in records if record.api in made_for and not names.isdisjoint(graph_of(record))}
    return found


def stale_reasons(rows: Iterable[Coverage], reasons: Mapping[str, str]) -> list[str]:
    """A line for each reason that explains nothing any more."""
    by_name = {row.operator.name: row for row in rows}
    lines = []
    for name in sorted(reasons):
        row = by_name.get(name)
        if row is None:
            lines.append(f"{name}: has a reason, but is not in the universe")
        elif row.covered:
            lines.append(f"{name}: has a reason, but is covered ({row.cases} cases, in {row.graphs} graphs)")
    return lines


def counts(rows: Iterable[Coverage]) -> Counter[str]:
    """How many rows are covered by what."""
    found: Counter[str] = Counter()
    for row in rows:
        found["operators"] += 1
        found["covered"] += row.covered
        found["with cases"] += bool(row.cases)
        found["in graphs"] += bool(row.graphs)
        found["with a reason"] += bool(row.reason)
        found["unexplained"] += not row.explained
    return found


def read_reasons(path: Path) -> dict[str, str]:
    """`{operator: reason}` from a YAML list of `{reason, operators}`.

    Raises `HarnessError` naming the file for anything else, and for an operator that is given two reasons.
    """
    try:
        groups = yaml.safe_load(path.read_text(encoding="utf-8")) or []
    except FileNotFoundError:
        raise HarnessError(f"{path}: no such file") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise HarnessError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(groups, list):
        raise HarnessError(f"{path}: expected a list of reasons")
    reasons: dict[str, str] = {}
    for number, group in enumerate(groups, start=1):
        if not isinstance(group, dict) or set(group) != {"reason", "operators"}:
            raise HarnessError(f"{path}: entry {number}: expected `reason` and `operators`")
        text, operators = group["reason"], group["operators"]
        if not isinstance(text, str) or not text.strip():
            raise HarnessError(f"{path}: entry {number}: the reason is empty")
        if not isinstance(operators, list) or not operators or not all(isinstance(name, str) for name in operators):
            raise HarnessError(f"{path}: entry {number}: `operators` is a list of names")
        for name in operators:
            if name in reasons:
                raise HarnessError(f"{path}: {name} is given two reasons")
            reasons[name] = " ".join(text.split())
    return reasons
