"""The operator page in the form of ExecuTorch's backend documentation: a CSV pulled into a MyST page.

The columns are those of the other backends' tables, `Operator,Compute DType,Quantization,Constraints`, and the lowest
deployment target.
An operator is listed when it was delegated with the right result at least once.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import Any

from harness.evidence.names import OpName
from harness.evidence.recipe import QUANTIZATIONS, Recipe
from harness.evidence.vocabulary import DELEGATED, SEVERITY, Outcome, Unit
from harness.publish.ane import NOT_ASKED, ORDINARY, Ane
from harness.publish.environments import describe_environment
from harness.publish.model import Cell, Matrix, Row
from harness.publish.problems import fallback_operators

HEADER = ("Operator", "Compute DType", "Quantization", "Lowest target", "Constraints")
#: One more column where the Apple Neural Engine was asked for.
ANE_HEADER = "Neural Engine"
#: What happened to the calls that were not simply delegated with the right result.
_CONSTRAINTS = {
    Outcome.PARTIAL: "delegated in part",
    Outcome.FALLBACK: "not delegated",
    Outcome.NON_DETERMINISTIC: "not the same twice",
    Outcome.UNSUPPORTED: "refused before lowering",
    Outcome.CONVERT_ERROR: "fails to convert",
    Outcome.EMIT_ERROR: "fails to serialise",
    Outcome.LOAD_ERROR: "fails to load",
    Outcome.RUN_ERROR: "fails to run",
    Outcome.TIMEOUT: "does not finish",
    Outcome.CRASH: "crashes",
    Outcome.INVALID_PROGRAM: "converts to an invalid program",
    Outcome.OUT_OF_RANGE: "overflows",
    Outcome.NOT_REFUSED: "takes shapes it was not lowered for",
    Outcome.WRONG_DTYPE: "wrong dtype",
    Outcome.WRONG_SHAPE: "wrong shape",
    Outcome.WRONG_VALUE: "wrong values",
}


def executorch_csv(matrix: Matrix) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    ane = matrix.asks_for_ane
    writer.writerow((*HEADER, ANE_HEADER) if ane else HEADER)
    for row in sorted(matrix.operators, key=lambda row: OpName.parse(row.name).short):
        if _delegated(row.cells.values()):
            quantizations = ", ".join(name for name in QUANTIZATIONS if name in row.quantizations)
            line = (OpName.parse(row.name).short, _precisions(row), quantizations, row.lowest, constraints(row))
            writer.writerow((*line, neural_engine(row)) if ane else line)
    return out.getvalue()


def _delegated(cells: Iterable[Cell]) -> bool:
    return any(cell.counts[outcome] for cell in cells for outcome in DELEGATED)


def _precisions(row: Row) -> str:
    """Precisions in which the operator was delegated with the right result."""
    recipes = [Recipe.parse(column.recipe) for column, cell in row.cells.items() if _delegated([cell])]
    return ", ".join(sorted({recipe.precision for recipe in recipes}))


def constraints(row: Row) -> str:
    """`fails to convert: 3 of 41 calls; wrong values: 1 of 41 calls (fp16)`, worst first. A call is a case."""
    calls = {case for outcome, cases in row.cases.items() if outcome in SEVERITY for case in cases}
    precisions = {Recipe.parse(column.recipe).precision for column, cell in row.cells.items() if cell.judged}
    parts = []
    for outcome in reversed(SEVERITY):
        if not (cases := row.cases.get(outcome)) or outcome is Outcome.PASS:
            continue
        touched = {Recipe.parse(c.recipe).precision for c, cell in row.cells.items() if cell.counts[outcome]}
        only = f" ({', '.join(sorted(touched))})" if touched != precisions else ""
        parts.append(f"{_CONSTRAINTS[outcome]}: {len(cases)} of {len(calls)} calls{only}")
    return "; ".join(parts)


def neural_engine(row: Row) -> str:
    """`supported` or not by the plans that tell, over all environments; how often is told by the other pages."""
    ane = sum(row.ane().values(), Ane())
    tally = ane.attracting if ane.attracting.known else ane.ordinary
    if not tally.known:
        return ane.text or NOT_ASKED
    supported = "supported" if tally.supported == tally.known else "supported in part"
    parts = [supported if tally.supported else "not supported"]
    parts += ["not placed there"] if tally.supported and not tally.placed else []
    return ", ".join(parts) + ("" if tally is ane.attracting else f" ({ORDINARY})")


def executorch_context(matrix: Matrix) -> dict[str, Any]:
    """What the page's template needs beside the CSV."""

    def always(outcome: Outcome) -> str:
        rows = [row for row in matrix.operators if row.cases.keys() & set(SEVERITY) == {outcome}]
        return ", ".join(f"`{OpName.parse(row.name).short}`" for row in rows)

    return {
        "measured_with": "; ".join(describe_environment(matrix.environments[e]) for e in sorted(matrix.environments)),
        "reference_only": bool(matrix.columns) and all(c.unit == Unit.REFERENCE for c in matrix.columns),
        "asks_for_ane": matrix.asks_for_ane,
        "ane_header": ANE_HEADER,
        "refused": always(Outcome.CONVERT_ERROR),
        "fallback": always(Outcome.FALLBACK),
        "no_kernel": ", ".join(
            f"`{OpName.parse(o.name).short}`" for o in fallback_operators(matrix.records) if o.missing
        ),
    }
