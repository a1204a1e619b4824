"""The support page, by operator and by API entry, and the same as CSV. Equal records give equal bytes."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from harness.evidence.numerics import FEW, MANY, decibel, in_short, number
from harness.evidence.universe import Universe
from harness.evidence.vocabulary import BY_VALUE, ORDER, OUTCOME_MEANINGS, Effect, Outcome, Unit, outcomes_of
from harness.publish.ane import MEANINGS, NOT_ASKED
from harness.publish.environments import system_name
from harness.publish.findings import cause_links
from harness.publish.graphs import operators_of
from harness.publish.markdown import anchor, code, codes, counted, plain, table
from harness.publish.model import NOT_MEASURED, Column, Matrix, ProgramRow, Row, sorted_rows
from harness.publish.problems import FallbackOperator, Problem, fallback_operators, problems
from harness.publish.summary import count_table, what_went_wrong
from harness.publish.universe_page import Silent, silent_sections, universe_context

#: Where a row stands on a page, by its status; from what a user most needs to know to what he hopes for.
SECTIONS: tuple[tuple[str, frozenset[Outcome | None]], ...] = (
    ("Wrong result", outcomes_of(Effect.UNSTABLE, Effect.WRONG, Effect.OUT_OF_RANGE, Effect.CONTRADICTORY)),
    ("Fails to convert, load or run", outcomes_of(Effect.FAILS)),
    ("Refused before Core ML", outcomes_of(Effect.REFUSED)),
    ("Left to ExecuTorch", outcomes_of(Effect.LEFT_OUT)),
    ("Delegated in part", outcomes_of(Effect.IN_PART)),
    ("Delegated and right", outcomes_of(Effect.DELEGATED)),
    ("Not measured", frozenset({None})),
)
#: `convert_error` under the words that tell the user what happens to him.
TITLES = {Outcome.CONVERT_ERROR: "Claimed by the partitioner, refused by conversion (`convert_error`)"}


def support_context(matrix: Matrix, universe: Universe | None, silent: Sequence[Silent]) -> dict[str, Any]:
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
        "models": _model_table(matrix.programs),
        "columns": ", ".join(_column_title(column, matrix) for column in matrix.columns),
        "sections": sections,
    }


def api_context(matrix: Matrix) -> dict[str, Any]:
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
                in_short(group.worst.numerics),
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


def _model_table(models: list[ProgramRow]) -> str:
    if not models:
        return ""
    rows = []
    for row in models:
        record, numerics = row.record, row.record.numerics
        rows.append(
            (
                code(row.name),
                record.recipe,
                record.unit,
                str(record.outcome),
                "" if row.percent is None else f"{row.percent:.1f} % of {row.nodes}",
                decibel(numerics.sqnr_db if numerics else None),
                number(numerics.max_abs if numerics else None, FEW),
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
    headers += (
        ["dtypes", "lowest target", "closest to its bound"] if operators else ["dtypes", "operators in its graphs"]
    )
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
    if operators:
        line.append(row.lowest)
    closest = row.closest
    line.append((in_short(closest.numerics) if closest else "") if operators else codes(sorted(row.related), limit=6))
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
    numerics = [number(getattr(closest, name, None), MANY) for name in ("limit", "worst", "headroom")]
    return [
        *(kind, row.name, column.recipe, column.unit, column.environment, str(cell.status or NOT_MEASURED)),
        *(str(cell.judged), *counts, " ".join(sorted(row.dtypes)), closest.tolerance_class if closest else ""),
        *(*numerics, cell.ane.text),
    ]
