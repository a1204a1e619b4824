"""What the dashboard shows, as plain data: the checks by column, operators, causes, models, headroom, what changed.

Texts stay text all the way: those with Markdown in them (clauses, what causes say) are marked up by the page itself,
from code spans alone, and everything else is shown as it is.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from harness.evidence.causes import Cause
from harness.evidence.numerics import headroom_of
from harness.evidence.record import Record
from harness.evidence.unit import UnitSpec
from harness.evidence.vocabulary import (
    OF_PROGRAMS,
    ORDER,
    OUTCOME_MEANINGS,
    UNIT_MEANINGS,
    UNJUDGED,
    WORKING,
    Effect,
    Kind,
    Outcome,
    Unit,
    outcomes_of,
)
from harness.publish.dashboard_columns import number, table
from harness.publish.dashboard_compare import Comparison, Moved
from harness.publish.environments import describe_environment
from harness.publish.findings import Finding, find_findings
from harness.publish.graphs import operators_of
from harness.publish.headroom import headrooms
from harness.publish.markdown import scrub
from harness.publish.model import Matrix
from harness.publish.remedies import of_cause, of_record
from harness.publish.summary import what_went_wrong
from harness.publish.support import CATEGORY_MEANINGS, EXTRACTED, Category, Condition, Fate, Sample, Support
from harness.publish.views import Views
from harness.publish.wording import clause_text

#: Outcomes of which the user notices nothing: the program runs and its answer is wrong.
SILENT = outcomes_of(Effect.WRONG, Effect.UNSTABLE, Effect.OUT_OF_RANGE)
#: A category in a cell of a table; the whole name is its heading elsewhere.
SHORT: Mapping[Category, str] = {
    Category.WORKS: "works",
    Category.LOWERS_EXCEPT: "some calls fail",
    Category.RIGHT_EXCEPT: "some silently wrong",
    Category.KERNELS: "ExecuTorch's kernels",
    Category.REFUSED: "refused",
    Category.NEVER: "never lowers",
    Category.WRONG: "always wrong",
    Category.LIMITED: "only at a limit",
}
_FATES_SILENT = frozenset({Fate.WRONG, Fate.OVERFLOWS})
#: Characters of what went wrong, and calls of a condition that are shown.
_WRONG, _CALLS = 600, 6
_CHECK_NUMBERS = (
    *("limit", "worst", "headroom", "ulp", "sqnr"),
    *("percent", "size", "calls", "delegates", "islands", "flops"),
)


def dashboard_data(
    matrix: Matrix, views: Views, causes: Sequence[Cause], changes: Comparison | None = None
) -> dict[str, Any]:
    """Everything the page shows, as JSON types. The records name their `causes`; equal input gives equal data."""
    rows = {id(record): number for number, record in enumerate(matrix.shown)}
    return {
        "environments": [
            {"id": name, "text": describe_environment(block), "versions": _versions(block)}
            for name, block in sorted(matrix.described.items())
        ],
        "units": _units(matrix.shown),
        "outcomes": [
            {
                "name": str(outcome),
                "meaning": OUTCOME_MEANINGS[outcome],
                "works": outcome in WORKING,
                "judged": outcome not in UNJUDGED,
                "silent": outcome in SILENT,
            }
            for outcome in ORDER
        ],
        "categories": [{"name": str(one), "short": SHORT[one], "meaning": CATEGORY_MEANINGS[one]} for one in Category],
        "limits": [
            {
                "condition": limit.cause.condition,
                "remedy": limit.cause.remedy,
                "cause": limit.cause.cause,
                "operators": limit.operators,
            }
            for limit in views.limits
        ],
        "checks": table([_check(record) for record in matrix.shown], _CHECK_NUMBERS),
        "operators": [_operator(support, views.causes, rows) for support in views.operators.values()],
        "causes": [_finding(finding) for finding in find_findings(matrix.shown, causes)],
        "headroom": _headroom([*matrix.records, *matrix.beside]),
        "changes": _changes(changes) if changes is not None else None,
        "ignored": matrix.ignored,
    }


def _versions(block: Mapping[str, Any]) -> dict[str, str]:
    return {str(name): str(value) for name, value in sorted((block.get("versions") or {}).items())}


def _units(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Every unit, also those that nothing was measured on: that is to be seen."""
    judged = Counter(UnitSpec.parse(record.unit).kind for record in records if record.outcome not in UNJUDGED)
    return [
        {
            "name": str(unit),
            "meaning": UNIT_MEANINGS[unit],
            "hardware": UnitSpec(unit).needs_core_ml,
            "judged": judged[unit],
        }
        for unit in Unit
    ]


def _check(record: Record) -> dict[str, Any]:
    numerics, division = record.numerics, record.division
    headroom = headroom_of(record)
    delegated = sum(operators_of(record.delegated).values())
    nodes = delegated + sum(operators_of(record.fallback).values())
    return {
        "case": record.case,
        "recipe": record.recipe,
        "unit": record.unit,
        "environment": record.environment,
        "kind": str(record.kind),
        "op": record.op,
        "subject": record.subject,
        "api": record.api if record.api != record.op else "",
        "dtype": record.dtype,
        "outcome": str(record.outcome),
        "phase": str(record.phase),
        "stage": record.stage,
        "cause": record.cause or "",
        "call": record.call,
        "wrong": "" if record.outcome is Outcome.PASS else scrub(what_went_wrong(record))[:_WRONG],
        "delegated": _counts(record.delegated),
        "left": _counts(record.fallback),
        "mil": _counts(record.mil_ops),
        "remedy": of_record(record),
        "bound": numerics.tolerance_class if numerics else "",
        "at": (numerics.at or "") if numerics else "",
        "program": str(record.kind) if record.kind in OF_PROGRAMS else "",
        "limit": number(numerics.limit) if numerics else None,
        "worst": number(numerics.worst) if numerics else None,
        "headroom": number(headroom, 3),
        "ulp": number(numerics.max_ulp, 3) if numerics else None,
        "sqnr": number(numerics.sqnr_db, 3) if numerics and (numerics.sqnr_db or 0) >= 0 else None,
        "percent": _share(delegated, nodes),
        "size": record.size,
        "family": record.family,
        "models": ", ".join(record.usage.models),
        "calls": record.usage.calls or None,
        "delegates": division.delegates if division else None,
        "islands": division.number_of_islands if division else None,
        "flops": _share(division.delegated_flops, division.flops) if division else None,
    }


def _share(part: int | None, whole: int | None) -> int | None:
    """In percent; None where either is not known."""
    return round(100 * part / whole) if whole and part is not None else None


def _counts(counts: Mapping[str, int]) -> str:
    """`aten.add.Tensor 2, aten.conv2d.default`: how often each stands in the graph, once unsaid."""
    return ", ".join(name if count == 1 else f"{name} {count}" for name, count in sorted(counts.items()))


def _operator(support: Support, causes: Mapping[str, Cause], rows: Mapping[int, int]) -> dict[str, Any]:
    fates = Counter(sample.fate for sample in support.samples)
    tried = [*support.samples, *support.limited]
    own = [sample for sample in tried if _own(sample, support)]
    programs = [sample for sample in tried if not _own(sample, support)]
    made = [sample for sample in support.samples if _of_a_model(sample)]
    conditions = support.conditions()
    causing = {c for sample in tried if sample.fate is not Fate.WORKS for c in sample.causes if c}
    apis = {sample.api for sample in own if sample.api != support.name}
    mil = {name for sample in own for record in sample.records for name in record.mil_ops}
    return {
        "name": support.name,
        "apis": sorted(apis),
        "becomes": sorted(support.becomes - {support.name}),
        "mil": sorted(mil),
        "category": str(support.category),
        "silent": any(condition.fate in _FATES_SILENT for condition in conditions),
        "works": fates[Fate.WORKS],
        "tried": fates.total(),
        "limited": len(support.limited),
        "models": len(made),
        "models_work": sum(sample.fate is Fate.WORKS for sample in made),
        "conditions": [_condition(condition, causes) for condition in conditions],
        "causes": sorted(causing | {defect.cause for defect in support.known}),
        "programs": [rows[id(sample.records[0])] for sample in programs if id(sample.records[0]) in rows],
    }


def _own(sample: Sample, support: Support) -> bool:
    """Whether the case was made for the operator; a program that works speaks for each in it."""
    return bool(sample.records) and sample.records[0].op == support.name


def _of_a_model(sample: Sample) -> bool:
    """Whether it is a call taken from a model, or a model; other programs are made to try something."""
    return sample.origin.startswith(EXTRACTED) or any(record.kind is Kind.MODEL for record in sample.records)


def _condition(condition: Condition, causes: Mapping[str, Cause]) -> dict[str, Any]:
    calls = list(dict.fromkeys(sample.call for sample in condition.samples if sample.call))
    return {
        "fate": str(condition.fate),
        "silent": condition.fate in _FATES_SILENT,
        "clause": clause_text(condition, causes, calls=False),
        "separates": condition.clause is not None or bool(condition.known),
        "where": sorted(condition.where),
        "known": bool(condition.known),
        "causes": condition.causes,
        "calls": calls[:_CALLS],
        "more": max(0, len(calls) - _CALLS),
        "check": next((sample.failing[0].check_id for sample in condition.samples), ""),
    }


def _finding(finding: Finding) -> dict[str, Any]:
    cause, priority, example = finding.cause, finding.priority, finding.example
    outcomes = Counter(record.outcome for record in finding.records)
    return {
        "slug": cause.cause,
        "title": cause.title,
        "heading": finding.heading if finding.records else "Seen by no check",
        "stage": cause.stage.replace("_", " "),
        "scope": cause.scope,
        "sees": cause.sees,
        "condition": cause.condition,
        "remedy": cause.remedy,
        "explanation": cause.explanation,
        "source": cause.source,
        "url": cause.url,
        "state": cause.state,
        "script": f"python reports/findings/{cause.cause}.py" if cause.script else "",
        "tried": of_cause(finding.records),
        "checks": len(finding.records),
        "outcomes": {str(outcome): outcomes[outcome] for outcome in ORDER if outcomes[outcome]},
        "operators": finding.operators,
        "models": list(priority.models),
        "calls": priority.calls,
        "strikes": str(priority),
        "example": example.check_id if example else "",
    }


def _headroom(records: Sequence[Record]) -> dict[str, Any]:
    rows = [
        {
            "operator": row.operator,
            "recipe": row.recipe,
            "unit": row.unit,
            "bound": row.tolerance_class,
            "flag": row.flag,
            "check": row.worst,
            "checks": row.checks,
            "smallest": number(row.smallest, 3),
            "median": number(row.middle, 3),
        }
        for row in headrooms(records)
    ]
    return table(rows, ("checks", "smallest", "median"))


def _changes(changes: Comparison) -> dict[str, Any]:
    by_pair: dict[str, list[str]] = defaultdict(list)
    for before, after in changes.pairs:
        by_pair[after].append(before)
    return {
        "pairs": [{"before": before, "after": after} for before, after in changes.pairs],
        "counts": changes.counts,
        "same": changes.same,
        "rows": table([_moved(one) for one in changes.moved], ("headroom_before", "headroom_after")),
    }


def _moved(one: Moved) -> dict[str, Any]:
    record = one.record

    def side(part: Record | None, told: Callable[[Record], Any], otherwise: Any) -> Any:
        return told(part) if part is not None else otherwise

    return {
        "move": str(one.move),
        "check": record.check_id,
        "operator": record.subject,
        "environment": record.environment,
        "before": side(one.before, lambda r: str(r.outcome), "absent"),
        "after": side(one.after, lambda r: str(r.outcome), "absent"),
        "wrong_before": side(one.before, _told, ""),
        "wrong_after": side(one.after, _told, ""),
        "headroom_before": side(one.before, lambda r: number(headroom_of(r), 3), None),
        "headroom_after": side(one.after, lambda r: number(headroom_of(r), 3), None),
    }


def _told(record: Record) -> str:
    return "" if record.outcome is Outcome.PASS else scrub(what_went_wrong(record))[:_WRONG]
