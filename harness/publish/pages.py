"""The generated pages, as text: `{file name: content}` from evidence. Equal evidence gives equal bytes."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.evidence.causes import Cause
from harness.evidence.files import Evidence
from harness.evidence.promises import PromiseRow
from harness.evidence.universe import Universe
from harness.evidence.vocabulary import OUTCOME_MEANINGS, Outcome, Unit
from harness.publish.ane import MEANINGS, NOT_ASKED
from harness.publish.executorch_page import executorch_context, executorch_csv
from harness.publish.findings import PAGE as FINDINGS_PAGE
from harness.publish.findings import cause_links, findings_context
from harness.publish.markdown import anchor, code, codes, counted, plain, table
from harness.publish.matrix import (
    NOT_MEASURED,
    Column,
    Matrix,
    ModelRow,
    Row,
    build_matrix,
    numerics_text,
    sorted_rows,
)
from harness.publish.naming import operators_of, system_name
from harness.publish.problems import FallbackOperator, Problem, fallback_operators, problems
from harness.publish.promises import PAGE as PROMISES_PAGE
from harness.publish.promises import promises_context, without_promises
from harness.publish.rendering import render
from harness.publish.summary import BY_VALUE, ORDER, count_table, what_went_wrong
from harness.publish.units_page import PAGE as UNITS_PAGE
from harness.publish.units_page import units_context
from harness.publish.universe_page import Silent, silent_operators, silent_sections, universe_context

#: Where a row stands on a page, by its status; from what a user most needs to know to what he hopes for.
SECTIONS: tuple[tuple[str, frozenset[Outcome | None]], ...] = (
    (
        "Wrong result",
        frozenset(
            {
                Outcome.NON_DETERMINISTIC,
                Outcome.WRONG_VALUE,
                Outcome.WRONG_SHAPE,
                Outcome.WRONG_DTYPE,
                Outcome.OUT_OF_RANGE,
                Outcome.INVALID_PROGRAM,
            }
        ),
    ),
    (
        "Fails to convert, load or run",
        frozenset(
            {
                Outcome.CONVERT_ERROR,
                Outcome.EMIT_ERROR,
                Outcome.LOAD_ERROR,
                Outcome.RUN_ERROR,
                Outcome.TIMEOUT,
                Outcome.CRASH,
            }
        ),
    ),
    ("Refused before Core ML", frozenset({Outcome.UNSUPPORTED})),
    ("Left to ExecuTorch", frozenset({Outcome.FALLBACK})),
    ("Delegated in part", frozenset({Outcome.PARTIAL})),
    ("Delegated and right", frozenset({Outcome.PASS})),
    ("Not measured", frozenset({None})),
)
#: `convert_error` under the words that tell the user what happens to him.
TITLES = {Outcome.CONVERT_ERROR: "Claimed by the partitioner, refused by conversion (`convert_error`)"}
EXECUTORCH_PAGES = ("coreml-op-support.md", "coreml-op-support.csv")


def build_pages(
    evidence: Evidence,
    sources: Sequence[str],
    causes: Sequence[Cause] = (),
    universe: Universe | None = None,
    reasons: Mapping[str, str] | None = None,
    promises: Sequence[PromiseRow] = (),
) -> dict[str, str]:
    """All pages. `sources` are the evidence files' names relative to the pages; the records name their `causes`.

    `universe` and `promises` are those of the measured versions, `reasons` say why operators of it have no case.
    """
    matrix = build_matrix(without_promises(evidence))
    names = sorted(sources)
    silent = silent_operators(matrix, universe, reasons or {})
    support = _op_support(matrix, universe, silent)
    return {
        "op-support.md": render("op-support.md.j2", {"sources": names, **support}),
        "op-support-api.md": render("op-support-api.md.j2", {"sources": names, **_api_support(matrix)}),
        "op-support.csv": support_csv(matrix, [row.name for row in silent if not row.instead]),
        "coreml-op-support.md": render("coreml-op-support.md.j2", {"sources": names, **executorch_context(matrix)}),
        "coreml-op-support.csv": executorch_csv(matrix),
        PROMISES_PAGE: render(
            "partitioner.md.j2", {"sources": names, **promises_context(evidence, promises, universe)}
        ),
        UNITS_PAGE: render("units.md.j2", {"sources": names, **units_context(without_promises(evidence))}),
        FINDINGS_PAGE: render("findings.md.j2", {"sources": names, **findings_context(evidence, causes)}),
    }


def _op_support(matrix: Matrix, universe: Universe | None, silent: Sequence[Silent]) -> dict[str, Any]:
    headers, rows = count_table(matrix.records)
    groups = problems(matrix.records)
    sections = _sections(matrix, [row for row in matrix.operators if row.status is not None], operators=True)
    sections += silent_sections(silent, universe)
    fallback = fallback_operators(matrix.records)
    problem_views = [_problem_view(outcome, members, matrix) for outcome, members in groups.items()]
    headings = ("What was measured", *(("The operator universe",) if universe else ()), "Summary", "Problems")
    contents = [f"- {_link(heading)}" for heading in headings]
    contents += [f"  - {_link(view['title'])}: {view['count']}" for view in problem_views]
    contents += [f"- {_link(heading)}" for heading in ("Operators left to ExecuTorch", "Models", "Operators")]
    contents += [f"  - {_link(section['title'])}: {section['count']}" for section in sections]
    return {
        "contents": contents,
        "environments": _environment_table(matrix),
        "unmeasured": [f"`{unit}`" for unit in matrix.unmeasured_units],
        "reference_only": _reference_only(matrix),
        "ignored": matrix.ignored,
        "universe": universe_context(matrix, universe, silent, SECTIONS) if universe else None,
        "summary": table(headers, rows, ["left", *["right"] * (len(headers) - 1)]),
        "legend": table(["outcome", "meaning"], [(code(str(o)), OUTCOME_MEANINGS[o]) for o in ORDER]),
        "ane_legend": table(["ANE", "meaning"], list(MEANINGS.items())) if matrix.asks_for_ane else "",
        "not_measured": NOT_MEASURED,
        "problems": problem_views,
        "fallback": _fallback_table(fallback),
        "fallback_intro": _fallback_intro(fallback),
        "models": _model_table(matrix.models),
        "columns": ", ".join(_column_title(column, matrix) for column in matrix.columns),
        "sections": sections,
    }


def _api_support(matrix: Matrix) -> dict[str, Any]:
    sections = _sections(matrix, matrix.apis, operators=False)
    return {
        "contents": [f"- {_link(section['title'])}: {section['count']}" for section in sections],
        "sections": sections,
    }


def _link(heading: str) -> str:
    return f"[{heading}](#{anchor(heading)})"


def _reference_only(matrix: Matrix) -> bool:
    return bool(matrix.columns) and all(column.unit == Unit.REFERENCE for column in matrix.columns)


def _environment_table(matrix: Matrix) -> str:
    """What the evidence was measured with; the first column is how the tables name it."""
    records = Counter(record.environment for record in matrix.records)
    rows = []
    for name, block in sorted(matrix.environments.items()):
        versions = block.get("versions") or {}
        devices = ", ".join(block.get("devices") or []) or "none"
        measured = [versions.get(key, "") for key in ("executorch", "coremltools", "torch")]
        system = [system_name(block), block.get("machine", ""), block.get("chip", "")]
        rows.append(
            [_label(name, matrix), block.get("date", ""), *measured, *map(plain, system), plain(devices), records[name]]
        )
    headers = ["", "date", "executorch", "coremltools", "torch", "OS", "machine", "chip", "Core ML devices", "checks"]
    return table(headers, rows)


def _label(environment: str, matrix: Matrix) -> str:
    return f"E{sorted(matrix.environments).index(environment) + 1}"


def _column_title(column: Column, matrix: Matrix) -> str:
    suffix = f" ({_label(column.environment, matrix)})" if len(matrix.environments) > 1 else ""
    return f"{column.recipe} {column.unit}{suffix}"


def _problem_view(outcome: Outcome, groups: list[Problem], matrix: Matrix) -> dict[str, Any]:
    checks = sum(len(group.records) for group in groups)
    subjects = {name for group in groups for name in group.subjects}
    rows: list[tuple[object, ...]]
    if outcome in BY_VALUE:
        headers = ["operator", "where", "checks", "furthest off", "what", "cause", "check"]
        rows = [
            (
                code(group.signature),
                _where(group, matrix),
                len(group.records),
                numerics_text(group.worst.numerics),
                plain(what_went_wrong(group.worst)),
                cause_links(group.causes),
                code(group.worst.check_id),
            )
            for group in sorted(groups, key=lambda group: group.signature)
        ]
    else:
        headers = ["what", "phase", "where", "checks", "operators", "cause", "check"]
        rows = [
            (
                code(group.signature),
                group.phase,
                _where(group, matrix),
                len(group.records),
                codes(group.subjects, limit=None),
                cause_links(group.causes),
                code(group.worst.check_id),
            )
            for group in groups
        ]
    return {
        "title": TITLES.get(outcome, f"`{outcome}`"),
        "meaning": OUTCOME_MEANINGS[outcome][:1].upper() + OUTCOME_MEANINGS[outcome][1:],
        "count": f"{counted(checks, 'check')} of {counted(len(subjects), 'operator')}",
        "table": table(headers, rows),
    }


def _where(group: Problem, matrix: Matrix) -> str:
    """The columns with this problem, in few words when it is all of them."""
    everywhere = {f"{column.recipe} {column.unit}" for column in matrix.columns}
    return "everywhere" if len(everywhere) > 1 and set(group.where) == everywhere else ", ".join(group.where)


def _fallback_intro(operators: list[FallbackOperator]) -> str:
    missing = sum(operator.missing for operator in operators)
    text = f"{counted(len(operators), 'operator')} stayed outside the delegates in some program."
    return text + (
        f" ExecuTorch has no kernel for {missing} of them: a program with one does not load." if missing else ""
    )


def _fallback_table(operators: list[FallbackOperator]) -> str:
    if not operators:
        return ""
    rows = [(code(o.name), o.cases, "**none: does not load**" if o.missing else "yes") for o in operators]
    return table(["operator", "cases", "ExecuTorch kernel"], rows)


def _model_table(models: list[ModelRow]) -> str:
    if not models:
        return ""
    rows = []
    for row in models:
        record, numerics = row.record, row.record.numerics
        sqnr = numerics.sqnr_db if numerics else None
        rows.append(
            (
                code(row.model),
                record.recipe,
                record.unit,
                str(record.outcome),
                "" if row.percent is None else f"{row.percent:.1f} % of {row.nodes}",
                "" if sqnr is None else f"{sqnr:.1f}",
                "" if not numerics or numerics.max_abs is None else f"{numerics.max_abs:.2g}",
                codes(sorted(operators_of(record.fallback)), limit=6),
                "" if record.outcome is Outcome.PASS else plain(record.reason or _error_text(record)),
            )
        )
    headers = ["model", "recipe", "unit", "outcome", "nodes delegated", "SQNR dB", "max error", "left out", "note"]
    return table(headers, rows)


def _error_text(record: Any) -> str:
    return what_went_wrong(record) if record.error else ""


def _sections(matrix: Matrix, rows: list[Row], *, operators: bool) -> list[dict[str, Any]]:
    ane = matrix.asks_for_ane
    noun = "operator" if operators else "function"
    headers = [noun, *(_column_title(column, matrix) for column in matrix.columns), *(["ANE"] if ane else [])]
    headers += ["dtypes", "closest to its bound"] if operators else ["dtypes", "operators in its graphs"]
    sections = []
    for title, statuses in SECTIONS:
        members = [row for row in rows if row.status in statuses]
        if members:
            lines = [_row_line(matrix, row, ane=ane, operators=operators) for row in members]
            sections.append({"title": title, "count": counted(len(members), noun), "table": table(headers, lines)})
    return sections


def _row_line(matrix: Matrix, row: Row, *, ane: bool, operators: bool) -> list[str]:
    line = [code(row.name), *(row.cell(column).text for column in matrix.columns)]
    if ane:
        line.append(ane_text(row, matrix))
    line.append(", ".join(sorted(row.dtypes)))
    closest = row.closest
    line.append(
        (numerics_text(closest.numerics) if closest else "") if operators else codes(sorted(row.related), limit=6)
    )
    return line


def ane_text(row: Row, matrix: Matrix) -> str:
    """What compute plans say of the ANE, over the row's columns; by environment where several do."""
    found = row.ane()
    asked = {name: ane for name, ane in found.items() if ane.asked} or found
    if len({ane.text for ane in asked.values()}) > 1:
        return "; ".join(f"{ane.text} ({_label(name, matrix)})" for name, ane in asked.items())
    return next((ane.text for ane in asked.values()), NOT_ASKED)


CSV_HEADER = (
    *("kind", "name", "recipe", "unit", "environment", "status", "judged"),
    *map(str, ORDER),
    *("dtypes", "tolerance_class", "limit", "worst", "headroom", "ane"),
)


def support_csv(matrix: Matrix, unmeasured: Iterable[str] = ()) -> str:
    """One line per row and measured column; units of Core ML that nothing measured stand as such at each operator.

    `unmeasured` are operators beside those of the matrix.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(CSV_HEADER)
    recipes = sorted({column.recipe for column in matrix.columns})
    beside = {name: Row(name) for name in unmeasured}
    operators = sorted_rows({**beside, **{row.name: row for row in matrix.operators}})
    for kind, rows in (("operator", operators), ("api", matrix.apis)):
        for row in rows:
            for column in matrix.columns:
                writer.writerow(_csv_line(kind, row, column))
            if kind == "operator":
                for unit in matrix.unmeasured_units:
                    for recipe in recipes:
                        writer.writerow(_csv_line(kind, row, Column(recipe, unit, "")))
    return out.getvalue()


def _csv_line(kind: str, row: Row, column: Column) -> list[str]:
    cell = row.cell(column)
    counts = [str(cell.counts[outcome] or "") for outcome in ORDER]
    closest = cell.closest.numerics if cell.closest else None
    numerics = [_number(getattr(closest, name, None)) for name in ("limit", "worst", "headroom")]
    return [
        *(kind, row.name, column.recipe, column.unit, column.environment, str(cell.status or NOT_MEASURED)),
        *(str(cell.judged), *counts, " ".join(sorted(row.dtypes)), closest.tolerance_class if closest else ""),
        *(*numerics, cell.ane.text),
    ]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
