"""The page that asks whether the matrix predicts models: forecasts beside outcomes, and why the two disagree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.evidence.causes import Cause
from harness.evidence.numerics import percent
from harness.publish.environments import describe_environment
from harness.publish.findings import cause_links
from harness.publish.forecast import Agreement, Forecast, agreement, forecasts, promises_of
from harness.publish.limits import general_causes
from harness.publish.markdown import code, codes, counted, plain, table, words
from harness.publish.model import Matrix
from harness.publish.models_page import labels, models_of
from harness.publish.summary import what_went_wrong

#: Where it stands, from the reports.
PAGE = "../docs/prediction.md"
#: And the reports from there.
_REPORTS = "../reports/"


def prediction_context(matrix: Matrix, causes: Sequence[Cause]) -> dict[str, Any]:
    """What the template shows; the records name their causes."""
    rows = models_of(matrix.shown)
    promises = promises_of(matrix.shown, general_causes(causes))
    named = labels(recipe for row in rows for recipe in row.records)
    found = forecasts(rows, promises)
    by_all = forecasts(rows, promises, own=False)
    by_slug = {cause.cause: cause for cause in causes}
    return {
        "environments": [describe_environment(block) for _, block in sorted(matrix.described.items())],
        "models": counted(len(rows), "model"),
        "checks": len(found),
        "extracted": bool(promises.own),
        "counts": _counts({"the model's own calls first": agreement(found), "all calls alone": agreement(by_all)}),
        "by_recipe": _counts({text: agreement(f for f in found if f.record.recipe == n) for n, text in named.items()}),
        "misses": _misses([f for f in found if f.expected and not f.passes], named, by_slug),
        "false_alarms": _false_alarms([f for f in found if f.expected is False and f.passes], named),
        "operators": _operators([f for f in found if f.expected is False and f.passes], by_slug),
        "unknown": _unknown([f for f in found if f.expected is None], named),
    }


def _counts(of: Mapping[str, Agreement]) -> str:
    """The tables of two by two, one a line."""
    headers = ["", "expected, passes", "expected, does not", "not expected, passes", "not expected, does not"]
    headers += ["not known", "precision %", "recall %"]
    rows = [
        (text, a.hits, a.misses, a.false_alarms, a.warned, a.unknown, percent(a.precision), percent(a.recall))
        for text, a in of.items()
    ]
    return table(headers, rows, ["left", *["right"] * (len(headers) - 1)])


def _misses(found: Sequence[Forecast], named: Mapping[str, str], by_slug: Mapping[str, Cause]) -> str:
    """All operators pass, the model does not: its own cause."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for one in found:
        record = one.record
        cause = by_slug.get(record.cause or "")
        why = _links([record.cause]) if record.cause else plain(what_went_wrong(record))
        why += f": {words(cause.condition or cause.title)}" if cause is not None else ""
        groups.setdefault((one.model, str(record.outcome), why), []).append(named[record.recipe])
    rows = [(code(model), ", ".join(recipes), outcome, why) for (model, outcome, why), recipes in groups.items()]
    return table(["model", "recipes", "outcome", "why"], rows) if rows else ""


def _false_alarms(found: Sequence[Forecast], named: Mapping[str, str]) -> str:
    """The model passes, an operator of it does not everywhere."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for one in found:
        own = codes((s.operator for s in one.suspects if s.own), limit=6)
        others = codes((s.operator for s in one.suspects if not s.own), limit=6)
        groups.setdefault((one.model, own, others), []).append(named[one.record.recipe])
    rows = [(code(model), ", ".join(recipes), own, others) for (model, own, others), recipes in groups.items()]
    headers = ["model", "recipes", "its own call fails alone", "fails for calls it does not make"]
    return table(headers, rows) if rows else ""


def _operators(found: Sequence[Forecast], by_slug: Mapping[str, Cause]) -> str:
    """For what each operator of the table above fails, and how many models pass all the same."""
    models: dict[str, set[str]] = {}
    causes: dict[str, dict[str, None]] = {}
    for one in found:
        for suspect in one.suspects:
            models.setdefault(suspect.operator, set()).add(one.model)
            causes.setdefault(suspect.operator, {}).update(dict.fromkeys(suspect.causes))
    rows = [
        (code(operator), len(models[operator]), _conditions(list(causes[operator]), by_slug))
        for operator in sorted(models, key=lambda name: (-len(models[name]), name))
    ]
    return table(["operator", "models that pass", "it fails for"], rows, ["left", "right", "left"]) if rows else ""


def _conditions(slugs: Sequence[str], by_slug: Mapping[str, Cause], limit: int = 3) -> str:
    told = []
    for slug in slugs[:limit]:
        cause = by_slug.get(slug)
        told.append(
            f"[{words(cause.condition or cause.title)}]({_REPORTS}findings.md#{slug})" if cause else "untriaged"
        )
    return "; ".join(told) + (f"; and {len(slugs) - limit} more" if len(slugs) > limit else "")


def _unknown(found: Sequence[Forecast], named: Mapping[str, str]) -> str:
    rows = [(code(one.model), named[one.record.recipe], one.record.outcome, _why_unknown(one)) for one in found]
    return table(["model", "recipe", "outcome", "why"], rows) if rows else ""


def _why_unknown(one: Forecast) -> str:
    if one.untried:
        return f"never tried: {codes(one.untried, limit=6)}"
    return "its graph is not known: it was never lowered"


def _links(slugs: Sequence[str | None]) -> str:
    return cause_links([slug or "" for slug in slugs]).replace("](", f"]({_REPORTS}")
