"""The operator universe on the support page: how much of it is judged, and why the rest is not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.evidence.names import OpName
from harness.evidence.record import Record, natural_key
from harness.evidence.universe import LEFT_OUT, SOURCES, Operator, Universe
from harness.evidence.vocabulary import ORDER, UNJUDGED, WORKING, Outcome
from harness.publish.coverage import names_in_graphs
from harness.publish.findings import cause_links
from harness.publish.graphs import graph_of, nothing_compared
from harness.publish.markdown import code, counted, table, words
from harness.publish.model import Matrix, Row
from harness.publish.rendering import wrapped
from harness.publish.support import Category, Support

REPLACED, NOT_MEASURED = "Replaced before the partitioner", "Not measured"


@dataclass(frozen=True)
class Silent:
    """An operator that no cell judges. `instead` are the operators its cases' graphs contain in its place, `cause` is
    that of cases which judge nothing."""

    name: str
    why: str
    instead: tuple[str, ...] = ()
    outcomes: Mapping[Outcome, int] = field(default_factory=dict)
    cause: str = ""


def silent_operators(matrix: Matrix, universe: Universe | None, reasons: Mapping[str, str]) -> list[Silent]:
    """The operators of the matrix and the universe that no check judges, by name, each with why."""
    judged = {row.name for row in matrix.operators if row.status is not None}
    names = {row.name for row in matrix.operators} | set(universe.operators if universe else ())
    made_for: dict[str, list[Record]] = {name: [] for name in names - judged}
    for record in matrix.records:
        for name in {record.op, *graph_of(record)}:
            if name in made_for:
                made_for[name].append(record)
    return [_silent(name, made_for[name], reasons.get(name, "")) for name in sorted(made_for, key=natural_key)]


def _silent(name: str, records: list[Record], reason: str) -> Silent:
    graphs: Counter[str] = Counter()
    for record in records:
        graphs.update(graph_of(record))
    outcomes = Counter(record.outcome for record in records)
    if graphs and name not in graphs:
        instead = tuple(sorted(graphs, key=lambda operator: (-graphs[operator], operator)))
        return Silent(name, "", instead, outcomes)
    causes = {record.cause or "" for record in records if record.outcome in UNJUDGED}
    cause = causes.pop() if len(causes) == 1 and not reason else ""
    return Silent(name, reason or _why_silent(records), outcomes=outcomes, cause=cause)


def _why_silent(records: list[Record]) -> str:
    if not records:
        return "no case of it in this evidence"
    unjudged = Counter(record.reason for record in records if record.outcome in UNJUDGED and record.reason)
    if unjudged:
        first = min(unjudged, key=lambda text: (-unjudged[text], text))
        return f"{next(r.outcome for r in records if r.reason == first)}: {first}"
    if all(nothing_compared(record) for record in records):
        return "all results of its cases are empty: no value was compared"
    if all(record.outcome in WORKING and not graph_of(record) for record in records):
        return "lowering takes it out: nothing is left of the programs of its cases"
    return "its cases fail for other operators in their graphs"


def universe_context(
    matrix: Matrix, universe: Universe, silent: Iterable[Silent], support: Mapping[str, Support]
) -> dict[str, Any]:
    """What the template needs: the counts of the universe. An operator is judged, else replaced, else not measured."""
    rows = {row.name: row for row in matrix.operators}
    judged = {
        operator.name: found
        for operator in universe.operators.values()
        if (found := [rows[name] for name in names_in_graphs(operator) if name in rows and rows[name].status])
    }
    replaced = {row.name for row in silent if row.instead} & universe.operators.keys() - judged.keys()
    return {
        "operators": len(universe.operators),
        "judged": len(judged),
        "replaced": len(replaced),
        "not_measured": len(universe.operators) - len(judged) - len(replaced),
        "versions": ", ".join(f"{package} {version}" for package, version in universe.versions.items()),
        "by_source": _source_table(universe, judged, support),
        "by_dtype": _dtype_table(judged),
        "combinations": sum(len({pair for row in found for pair in row.judged}) for found in judged.values()),
        "left_out": [f"{universe.left_out[kind]} {kind}: {words(LEFT_OUT[kind])}." for kind in LEFT_OUT],
    }


def _source_table(universe: Universe, judged: Mapping[str, list[Row]], support: Mapping[str, Support]) -> str:
    """Overloads by source and by category."""
    lines = []
    for source, meaning in SOURCES.items():
        members = [operator for operator in universe.operators.values() if source in operator.sources]
        lines.append([f"{code(source)}: {meaning}", *_counts(members, judged, support)])
    lines.append(["all", *_counts(list(universe.operators.values()), judged, support)])
    headers = ["source", "operators", "judged", *map(str, Category)]
    return table(headers, lines, ["left", *["right"] * (len(headers) - 1)])


def _counts(
    members: Sequence[Operator], judged: Mapping[str, list[Row]], support: Mapping[str, Support]
) -> list[object]:
    found: Counter[Category] = Counter()
    for operator in members:
        own = [support[name].category for name in names_in_graphs(operator) if name in support]
        if own and operator.name in judged:
            found[own[0]] += 1
    return [len(members), found.total(), *(found[category] or "" for category in Category)]


def _dtype_table(judged: Mapping[str, list[Row]]) -> str:
    """Overloads judged, by dtype of the case and by recipe."""
    pairs = Counter(pair for found in judged.values() for pair in {pair for row in found for pair in row.judged})
    recipes = sorted({recipe for _, recipe in pairs})
    dtypes = sorted({dtype for dtype, _ in pairs}, key=lambda d: (-max(pairs[d, recipe] for recipe in recipes), d))
    lines = [[code(dtype), *(pairs[dtype, recipe] or "" for recipe in recipes)] for dtype in dtypes]
    return table(["dtype", *recipes], lines, ["left", *["right"] * len(recipes)])


def silent_sections(silent: Iterable[Silent]) -> list[dict[str, Any]]:
    """The operators that no check judges, as sections of the operator tables."""
    rows = list(silent)
    replaced = [row for row in rows if row.instead]
    missing = [row for row in rows if not row.instead]
    sections = []
    if replaced:
        lines = [[_short(row.name), ", ".join(map(_short, row.instead[:3])), _outcomes(row)] for row in replaced]
        headers = ["operator", "its graphs contain", "checks made for it"]
        sections.append(_section(REPLACED, len(replaced), table(headers, lines)))
    if missing:
        sections.append(_section(NOT_MEASURED, len(missing), _by_reason(missing)))
    return sections


def _section(title: str, count: int, text: str) -> dict[str, Any]:
    return {"title": title, "count": counted(count, "operator"), "meaning": "", "table": text}


def _by_reason(missing: Sequence[Silent]) -> str:
    """Why they are not measured, each reason, or the cause that tells it, once with its operators."""
    groups: dict[str, list[str]] = {}
    for row in missing:
        groups.setdefault(cause_links([row.cause]) if row.cause else words(row.why), []).append(_short(row.name))
    ordered = sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
    return "\n".join(f"- {why}: {wrapped(', '.join(names))}" for why, names in ordered)


def _short(name: str) -> str:
    return code(OpName.parse(name).short)


def _outcomes(row: Silent) -> str:
    return ", ".join(f"{outcome} {row.outcomes[outcome]}" for outcome in ORDER if row.outcomes.get(outcome))
