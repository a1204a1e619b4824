"""`harness list`: the cases that the suites run, and what of the operator universe has none. Imports no torch."""

from __future__ import annotations

import contextlib
import fnmatch
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cases import ane
from harness.cases.case import Case, matches_op, require_match
from harness.cases.find import all_cases
from harness.evidence.record import Record
from harness.evidence.unit import UnitSpec
from harness.evidence.universe import Universe, read_universe
from harness.evidence.vocabulary import HarnessError, Level
from harness.units.registry import units_here

if TYPE_CHECKING:
    from harness.publish.coverage import Coverage


def run(op: str | None = None, level: str = "standard", units: Sequence[str] = ()) -> int:
    """Print a case a line: id, API name, level; those that run on one of the units, by default of this machine's.

    Raises `HarnessError` when `op` names nothing, and for an unknown unit.
    """
    asked = [UnitSpec.parse(unit) for unit in units] or units_here()
    chosen = [case for case in all_cases(Level(level)) if op is None or matches_op(case, op)]
    if op is not None and not chosen:
        require_match(all_cases(), [op])  # it may name cases of another level
    chosen = [case for case in chosen if any(case.runs_on(unit) for unit in asked)]
    width = max((len(case.id) for case in chosen), default=0)
    with contextlib.suppress(BrokenPipeError):
        for case in chosen:
            print(f"{case.id:<{width}}  {case.level:<8}  {case.api}")
    return 0


def run_coverage(records: Iterable[Record], reasons_file: Path, op: str | None = None) -> int:
    """Print the rows of the universe without a case, each with its reason, then counts.

    Exit code 1 when a row has neither case nor reason, or a reason explains nothing any more. Raises `HarnessError`
    when `op` names no row.
    """
    # Pages are none of the business of plain listing, which is to be quick.
    from harness.publish.coverage import coverage, read_reasons, stale_reasons

    universe, cases, records = read_universe(), all_cases(), list(records)
    reasons = read_reasons(reasons_file)
    rows = coverage(universe, Counter(case.op for case in cases if not case.ane), records, reasons)
    stale = stale_reasons(rows, reasons)
    shown = [row for row in rows if op is None or fnmatch.fnmatchcase(row.operator.name, op)]
    if not shown:
        raise HarnessError(f"--op {op}: no operator of the universe has this name")
    lines = [*_uncovered_lines(shown), *(f"{reasons_file}: {line}" for line in stale), _count_line(shown)]
    if op is None:
        lines += [_api_line(universe, cases, records), _ane_line(universe)]
    print("\n".join(lines))
    return int(bool(stale) or any(not row.explained for row in shown))


def _api_line(universe: Universe, cases: Iterable[Case], records: Iterable[Record]) -> str:
    from harness.publish.coverage import leading_apis

    made_for: dict[str, set[str]] = {}
    for case in cases:
        if case.origin == "opinfo":
            made_for.setdefault(case.api, set()).add(case.op)
    leading = leading_apis(universe, made_for, records)
    return f"{len(made_for)} API entries of OpInfo: {len(leading)} lead to an operator of the universe"


def _ane_line(universe: Universe) -> str:
    without = ane.left_out(universe)
    covered = len(universe.operators) - len(without)
    return f"{covered} have a case that attracts the ANE, {len(without)} a reason why not (harness/cases/ane.jsonl)"


def _uncovered_lines(rows: list[Coverage]) -> list[str]:
    from harness.publish.coverage import NO_REASON

    uncovered = [row for row in rows if not row.covered]
    width = max((len(row.operator.name) for row in uncovered), default=0)
    sources = max((len(", ".join(row.operator.sources)) for row in uncovered), default=0)
    return [
        f"{row.operator.name:<{width}}  {', '.join(row.operator.sources):<{sources}}  {row.reason or NO_REASON}"
        for row in uncovered
    ]


def _count_line(rows: list[Coverage]) -> str:
    from harness.publish.coverage import counts

    found = counts(rows)
    return (
        f"{found['operators']} operators: {found['covered']} covered ({found['with cases']} by cases made for them, "
        f"{found['in graphs']} contained in recorded graphs), {found['with a reason']} with a reason, "
        f"{found['unexplained']} with neither"
    )
