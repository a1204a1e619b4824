"""The operator page in the form of ExecuTorch's backend documentation: a CSV pulled into a MyST page.

The columns are those of the other backends' tables, `Operator,Compute DType,Quantization,Constraints`, and the lowest
deployment target. A row is an operator whatever its overload; it is listed when some call of it was delegated with the
right result, or taken out by lowering.
"""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from harness.evidence.causes import Cause
from harness.evidence.names import OpName
from harness.evidence.recipe import QUANTIZATIONS, TARGETS, Flow, Recipe
from harness.evidence.vocabulary import Unit
from harness.publish.ane import NOT_ASKED, ORDINARY, Ane
from harness.publish.environments import describe_environment
from harness.publish.markdown import words
from harness.publish.model import Matrix, Row
from harness.publish.problems import fallback_operators
from harness.publish.support import WORKING_CATEGORIES, By, Category, Support, packet_name
from harness.publish.targets import lowest_targets
from harness.publish.views import Views
from harness.publish.wording import conditions_text

HEADER = ("Operator", "Compute DType", "Quantization", "Lowest target", "Constraints")
#: One more column where the Apple Neural Engine was asked for.
ANE_HEADER = "Neural Engine"
#: Who quantizes, as the documentation calls it.
_FLOWS = {Flow.PT2E: "PT2E", Flow.TORCHAO: "torchao", Flow.CODEBOOK: "codebook", Flow.OP_LINEAR: "coremltools"}


def executorch_csv(matrix: Matrix, views: Views) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    ane = matrix.asks_for_ane
    writer.writerow((*HEADER, ANE_HEADER) if ane else HEADER)
    rows = _rows(matrix)
    own = lowest_targets((*matrix.records, *matrix.beside), By.PACKET)
    for name, one in sorted(views.packets.items()):
        if one.category in WORKING_CATEGORIES:
            graph = rows.get(name, [])
            line = (
                name,
                _precisions(one),
                _quantizations(graph),
                _lowest(graph) or own.get(name, ""),
                constraints(one, views.causes),
            )
            writer.writerow((*line, neural_engine(graph)) if ane else line)
    return out.getvalue()


def _rows(matrix: Matrix) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = defaultdict(list)
    for row in matrix.operators:
        found[packet_name(row.name)].append(row)
    return found


def _precisions(one: Support) -> str:
    """Precisions in which the operator was delegated with the right result."""
    return ", ".join(sorted({Recipe.parse(r.recipe).precision for sample in one.working for r in sample.records}))


def _quantizations(rows: Sequence[Row]) -> str:
    """The schemes with which it was, by who quantizes: `PT2E 8 bit, torchao 4, 8 bit`."""
    bits: dict[Flow, set[int]] = defaultdict(set)
    for row in rows:
        for name in row.quantizations:
            bits[QUANTIZATIONS[name].flow].add(QUANTIZATIONS[name].bits)
    return "; ".join(f"{word} {', '.join(map(str, sorted(bits[f])))} bit" for f, word in _FLOWS.items() if bits[f])


def _lowest(rows: Sequence[Row]) -> str:
    targets = [row.lowest for row in rows if row.lowest]
    return min(targets, key=lambda target: TARGETS[target.lower()].specification, default="")


def constraints(one: Support, causes: Mapping[str, Cause]) -> str:
    """The conditions under which it does not work, worst first; empty where every call that was tried works."""
    return conditions_text(one, causes, calls=False)


def neural_engine(rows: Sequence[Row]) -> str:
    """`supported` or not by the plans that tell, over all environments; how often is told by the other pages."""
    ane = sum((one for row in rows for one in row.ane().values()), Ane())
    tally = ane.attracting if ane.attracting.known else ane.ordinary
    if not tally.known:
        return ane.text or NOT_ASKED
    supported = "supported" if tally.supported == tally.known else "supported in part"
    parts = [supported if tally.supported else "not supported"]
    parts += ["not placed there"] if tally.supported and not tally.placed else []
    return ", ".join(parts) + ("" if tally is ane.attracting else f" ({ORDINARY})")


def executorch_context(matrix: Matrix, views: Views) -> dict[str, Any]:
    """What the page's template needs beside the CSV."""

    def of(*categories: Category) -> str:
        return ", ".join(f"`{name}`" for name, one in sorted(views.packets.items()) if one.category in categories)

    return {
        "measured_with": "; ".join(describe_environment(matrix.environments[e]) for e in sorted(matrix.environments)),
        "reference_only": bool(matrix.columns) and all(c.unit == Unit.REFERENCE for c in matrix.columns),
        "known": any(one.known for one in views.packets.values()),
        "asks_for_ane": matrix.asks_for_ane,
        "ane_header": ANE_HEADER,
        "limits": [f"{words(limit.cause.condition)}: {words(limit.cause.remedy)}" for limit in views.limits],
        "never": of(Category.NEVER, Category.WRONG),
        "refused": of(Category.REFUSED),
        "fallback": of(Category.KERNELS),
        "no_kernel": ", ".join(
            f"`{OpName.parse(o.name).short}`" for o in fallback_operators(matrix.records) if o.missing
        ),
    }
