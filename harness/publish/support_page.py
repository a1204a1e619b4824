"""The support page, by operator and by public function, and the same as CSV. Equal records give equal bytes."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.evidence.causes import Cause
from harness.evidence.names import OpName
from harness.evidence.numerics import MANY, number
from harness.evidence.universe import Universe
from harness.evidence.vocabulary import ORDER, OUTCOME_MEANINGS, Kind, Unit
from harness.publish.ane import MEANINGS, NOT_ASKED
from harness.publish.environments import system_name
from harness.publish.limits import limits_table
from harness.publish.markdown import anchor, code, codes, counted, plain, table, words
from harness.publish.model import NOT_MEASURED, Column, Matrix, Row, sorted_rows
from harness.publish.problems import FallbackOperator, fallback_operators
from harness.publish.summary import count_table
from harness.publish.support import CATEGORY_MEANINGS, WORKING_CATEGORIES, By, Category, Support
from harness.publish.targets import lowest_targets
from harness.publish.universe_page import Silent, silent_sections, universe_context
from harness.publish.views import Views
from harness.publish.wording import all_work, causes_of, conditions_text, models_text

#: Categories whose operators are told one by one, with the conditions under which they do not work.
CONDITIONAL = (Category.LOWERS_EXCEPT, Category.RIGHT_EXCEPT, Category.WRONG)
#: A cause's name in brackets, which is no link yet.
_CAUSE = re.compile(r"\[([a-z0-9]+(?:-[a-z0-9]+)+)\](?!\()")
#: Names in a line of a list; a longer one is hard to read, and harder to compare.
IN_A_LINE = 10


def support_context(
    matrix: Matrix, views: Views, universe: Universe | None, silent: Sequence[Silent]
) -> dict[str, Any]:
    """What the template needs."""
    support = views.operators
    sections = _sections(matrix, support, views.causes, noun="operator") + silent_sections(silent)
    headings = ["What was measured", "In short", "General limits", *(["The operator universe"] if universe else [])]
    contents = [f"- {_link(heading)}" for heading in (*headings, "Operators")]
    told = {str(category) for category in Category}  # with links, in the table of categories
    contents += [f"  - {_link(one['title'])}: {one['count']}" for one in sections if one["title"] not in told]
    contents += [f"- {_link(heading)}" for heading in ("Left to ExecuTorch",)]
    fallback = fallback_operators(matrix.records)
    return {
        "contents": contents,
        "environments": _environment_table(matrix),
        "unmeasured": [f"`{unit}`" for unit in matrix.unmeasured_units],
        "reference_only": _reference_only(matrix),
        "ignored": matrix.ignored,
        "headline": headline(matrix, support),
        "categories": category_table(support),
        "limits": limits_table(views.limits),
        "universe": universe_context(matrix, universe, silent, support) if universe else None,
        "ane_legend": table(["ANE", "meaning"], list(MEANINGS.items())) if matrix.asks_for_ane else "",
        "not_measured": NOT_MEASURED,
        "fallback_intro": _fallback_intro(fallback) if fallback else "",
        "without_kernel": codes(OpName.parse(o.name).short for o in fallback if o.missing),
        "known": any(one.known for one in support.values()),
        "links": _linked(sections),
        "columns": ", ".join(_column_title(column, matrix) for column in matrix.columns),
        "sections": sections,
    }


def readme_context(matrix: Matrix, views: Views) -> dict[str, Any]:
    """Of the page that leads to the others."""
    headers, rows = count_table(matrix.records)
    return {
        "environments": _environment_table(matrix),
        "headline": headline(matrix, views.operators),
        "summary": table(headers, rows, ["left", *["right"] * (len(headers) - 1)]),
        "legend": table(["outcome", "meaning"], [(code(str(o)), OUTCOME_MEANINGS[o]) for o in ORDER]),
    }


def api_context(matrix: Matrix, views: Views) -> dict[str, Any]:
    """The same by public function."""
    sections = _sections(matrix, views.functions, views.causes, noun="function")
    return {
        "contents": [f"- {_link(section['title'])}: {section['count']}" for section in sections],
        "links": _linked(sections),
        "sections": sections,
    }


def _linked(sections: Sequence[dict[str, Any]]) -> list[str]:
    """Turns the causes' names in brackets into links: one that stands once on the page by its own, the others by a
    definition at its end. Returns those."""
    counts = Counter(name for section in sections for name in _CAUSE.findall(section["table"]))
    for section in sections:
        section["table"] = _CAUSE.sub(
            lambda found: f"[{found[1]}](findings.md#{found[1]})" if counts[found[1]] == 1 else f"[{found[1]}]",
            section["table"],
        )
    return [f"[{name}]: findings.md#{name}" for name in sorted(counts) if counts[name] > 1]


def headline(matrix: Matrix, support: Mapping[str, Support]) -> list[str]:
    """The figures to begin with: the models first."""
    lines = []
    by_model: dict[str, set[str]] = defaultdict(set)
    for row in matrix.programs:
        if row.record.kind is Kind.MODEL:
            by_model[row.name].add(str(row.record.outcome))
    if by_model:
        whole = sum(outcomes == {"pass"} for outcomes in by_model.values())
        lines.append(f"{whole} of {counted(len(by_model), 'model')} are delegated wholly and right.")
    works = sum(one.category in WORKING_CATEGORIES for one in support.values())
    lines.append(
        f"{works} of {counted(len(support), 'operator')} work, "
        f"{sum(one.category in CONDITIONAL[:2] for one in support.values())} of them under conditions."
    )
    made = [one for one in support.values() if one.made_by_models]
    if made:
        safe = sum(all_work(one.made_by_models) for one in made)
        lines.append(f"Of {len(made)} that models contain, every call that models make works for {safe}.")
    return lines


def category_table(support: Mapping[str, Support]) -> str:
    counts = Counter(one.category for one in support.values())
    rows = [(_link(str(c)) if counts[c] else str(c), counts[c], CATEGORY_MEANINGS[c]) for c in Category]
    return table(["category", "operators", "what it means"], rows, ["left", "right", "left"])


def _link(heading: str) -> str:
    return f"[{heading}](#{anchor(heading)})"


def _sections(
    matrix: Matrix, support: Mapping[str, Support], causes: Mapping[str, Cause], *, noun: str
) -> list[dict[str, Any]]:
    rows = {row.name: row for row in (*matrix.operators, *matrix.apis)}
    sections = []
    for category in Category:
        members = [one for one in support.values() if one.category is category]
        if not members:
            continue
        if category in CONDITIONAL:
            text = _conditional(matrix, members, causes, rows, noun)
        elif category is Category.WORKS:
            text = _works(matrix, members, rows, noun)
        else:
            text = _by_cause(members, causes, noun)
        sections.append(
            {
                "title": str(category),
                "count": counted(len(members), noun),
                "meaning": CATEGORY_MEANINGS[category],
                "table": text,
            }
        )
    return sections


def _conditional(
    matrix: Matrix, members: Sequence[Support], causes: Mapping[str, Cause], rows: Mapping[str, Row], noun: str
) -> str:
    """Those of which the same is to be told in one row, but for one of which a call of a model does not work."""
    ane = matrix.asks_for_ane
    headers = [noun, "does not work when", "calls of models", "because of", *(["ANE"] if ane else [])]
    groups: dict[tuple[str, ...], list[Support]] = defaultdict(list)
    for one in members:
        told = conditions_text(one, causes) or "every call"
        causing = ", ".join(f"[{cause}]" for cause in causes_of(one.conditions()))
        placed = ane_text(rows[one.name], matrix) if ane and one.name in rows else ""
        groups[told, causing, placed, "" if all_work(one.made_by_models) else one.name].append(one)
    lines = []
    for (told, causing, placed, _), group in groups.items():
        made = models_text([sample for one in group for sample in one.made_by_models])
        lines.append((", ".join(map(_named, group)), told, made, causing, *([placed] if ane else [])))
    return table(headers, lines)


def _works(matrix: Matrix, members: Sequence[Support], rows: Mapping[str, Row], noun: str) -> str:
    """By the lowest target: its own where programs contain it, else that of its calls. With the ANE's word for each
    where it was asked for."""
    if matrix.asks_for_ane:
        lines = [(_named(one), ane_text(rows[one.name], matrix) if one.name in rows else "") for one in members]
        return table([noun, "ANE"], lines)
    by_target: dict[str, list[str]] = defaultdict(list)
    called = lowest_targets((*matrix.records, *matrix.beside), By.FUNCTION if noun == "function" else By.OPERATOR)
    for one in members:
        by_target[_lowest(one, rows) or called.get(one.name, "")].append(code(OpName.parse(one.name).short))
    parts = []
    for target in sorted(by_target, key=lambda target: (target == "", target)):
        parts.append(f"From {target} on:" if target else "At a target that was not told:")
        parts.append(_lines(by_target[target]))
    return "\n\n".join(parts)


def _lowest(one: Support, rows: Mapping[str, Row]) -> str:
    """Of the operator itself, or its copying variant, in programs."""
    own = [one.name, *(name for name in sorted(one.becomes) if OpName.parse(name).key == OpName.parse(one.name).key)]
    return next((rows[name].lowest for name in own if name in rows and rows[name].lowest), "")


def _by_cause(members: Sequence[Support], causes: Mapping[str, Cause], noun: str) -> str:
    """Those of one cause together, with what helps: of what never works nothing else is to be told."""
    groups: dict[str, list[str]] = defaultdict(list)
    for one in members:
        found = sorted({cause for sample in one.samples or one.limited for cause in sample.causes if cause})
        groups[found[0] if found else ""].append(code(OpName.parse(one.name).short))
    lines = []
    for name in sorted(groups, key=lambda name: (-len(groups[name]), name)):
        remedy = words(causes[name].remedy) if name in causes else ""
        lines.append(f"**{f'[{name}]' if name else 'No cause known'}**{': ' if remedy else ''}{remedy}\n")
        lines.append(_lines(groups[name]) + "\n")
    return "\n".join(lines).rstrip()


def _lines(names: Sequence[str]) -> str:
    """Names, some in a line."""
    parts = [", ".join(names[at : at + IN_A_LINE]) for at in range(0, len(names), IN_A_LINE)]
    return ",\n".join(parts)


def _named(one: Support) -> str:
    """Its name, and what it becomes where that is another operator."""
    own = OpName.parse(one.name).key
    others = sorted(name for name in one.becomes if OpName.parse(name).key != own)
    if not others or own in {OpName.parse(name).key for name in one.becomes} or len(others) > 3:
        return code(OpName.parse(one.name).short)
    return f"{code(OpName.parse(one.name).short)} (as {codes(OpName.parse(name).short for name in others)})"


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


def _fallback_intro(operators: list[FallbackOperator]) -> str:
    missing = sum(operator.missing for operator in operators)
    text = f"{counted(len(operators), 'operator')} stayed outside the delegates in some program."
    return text + (
        f" ExecuTorch has no kernel for {missing} of them: a program with one does not load." if missing else ""
    )


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
