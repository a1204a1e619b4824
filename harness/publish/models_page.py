"""The page of models: how each comes out by each recipe, how close, how much of it Core ML runs, and what to do."""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.evidence.causes import Cause
from harness.evidence.numerics import FEW, decibel, headroom_of, number, percent, times
from harness.evidence.recipe import BARE, Flow, Recipe
from harness.evidence.record import Record, natural_key
from harness.evidence.remedy import leads_to, summary
from harness.evidence.vocabulary import ORDER, RANK, UNJUDGED, Effect, Kind, Outcome, outcomes_of
from harness.publish.environments import describe_environment
from harness.publish.findings import cause_links
from harness.publish.graphs import operators_of
from harness.publish.markdown import anchor, code, codes, counted, plain, table, words
from harness.publish.model import Matrix
from harness.publish.priority import priorities
from harness.publish.summary import what_went_wrong

PAGE = "models.md"
#: The recipe that the numbers of a row are of, where a model was lowered by it.
MAIN = "fp16-ios18"
#: Records of a recipe are a column where at least one model in so many has them.
_SHARED = 4
_WIDTH = 150
#: Of a label, what quantization leaves of the weights.
_WEIGHTS = re.compile(r"int\d+|codebook\d+")


@dataclass
class ModelRow:
    """A model and its records by recipe: of several units and environments the worst."""

    name: str
    family: str
    api: str
    records: dict[str, Record] = field(default_factory=dict)

    @property
    def main(self) -> Record | None:
        """The record that the numbers of the row are of: by `MAIN`, else by the first recipe with a program."""
        return self.records.get(MAIN) or next((r for r in self.records.values() if r.division is not None), None)

    @property
    def passes(self) -> bool:
        """Whether all of it is delegated and right, by every recipe."""
        return all(record.outcome is Outcome.PASS for record in self.records.values())

    @property
    def lowering_s(self) -> float | None:
        """Seconds, of the recipe that took longest: the others share what it made."""
        return max((r.lowering_s for r in self.records.values() if r.lowering_s is not None), default=None)


def models_of(records: Iterable[Record]) -> list[ModelRow]:
    """A row for each model, by family and name."""
    rows: dict[str, ModelRow] = {}
    for record in records:
        if record.kind is Kind.MODEL:
            row = rows.setdefault(record.subject, ModelRow(record.subject, record.family or "other", record.api))
            before = row.records.get(record.recipe)
            if before is None or _badness(record) > _badness(before):
                row.records[record.recipe] = record
    for row in rows.values():
        row.records = {recipe: row.records[recipe] for recipe in sorted(row.records, key=_recipe_key)}
    return sorted(rows.values(), key=lambda row: (row.family, natural_key(row.name)))


def _badness(record: Record) -> tuple[int, str, str]:
    return RANK.get(record.outcome, -1), record.unit, record.environment


def _recipe_key(recipe: str) -> tuple[int, bool, str, str]:
    """The bare partitioner, then what is not quantized, then the schemes, those of most bits first."""
    known = Recipe.parse(recipe)
    return -known.scheme.bits if known.scheme else -99, not known.bare, known.precision, _flow(known) + recipe


def _flow(recipe: Recipe) -> str:
    """Codebooks after what is linear."""
    return str(int(recipe.scheme is not None and recipe.scheme.flow is Flow.CODEBOOK))


def labels(recipes: Iterable[str]) -> dict[str, str]:
    """A short name for each recipe: `default`, `fp16`, `int4`; the whole name where two would have the same."""
    recipes = sorted(set(recipes), key=_recipe_key)
    short = {recipe: _short(Recipe.parse(recipe)) for recipe in recipes}
    times_used = Counter(short.values())
    return {recipe: text if times_used[text] == 1 else recipe for recipe, text in short.items()}


def _short(recipe: Recipe) -> str:
    found = _WEIGHTS.search(recipe.quantization)
    text = found.group() if found else recipe.quantization or (BARE if recipe.bare else recipe.precision)
    return "+".join([text, *recipe.options])


def models_context(matrix: Matrix, causes: Sequence[Cause]) -> dict[str, Any]:
    """What the template shows; the records name their causes."""
    rows = models_of(matrix.shown)
    by_slug = {cause.cause: cause for cause in causes}
    used = Counter(recipe for row in rows for recipe in row.records)
    named = labels(used)
    columns = [recipe for recipe in named if used[recipe] * _SHARED >= len(rows)]
    families = sorted({row.family for row in rows})
    return {
        "environments": [describe_environment(block) for _, block in sorted(matrix.described.items())],
        "models": counted(len(rows), "model"),
        "headline": _headline(rows),
        "counts": _counts(rows, named),
        "recipes": [(named[recipe], recipe) for recipe in columns],
        "main": MAIN,
        "families": [
            {"title": family.capitalize(), "table": _table([r for r in rows if r.family == family], columns, named)}
            for family in families
        ],
        "causes": _causes(matrix.shown, by_slug),
        "details": [_details(row, named, by_slug) for row in rows if not row.passes],
    }


#: What models come to by a recipe: a word for it, and the outcomes.
_COMES_TO: tuple[tuple[str, frozenset[Outcome]], ...] = (
    ("pass", outcomes_of(Effect.DELEGATED)),
    ("partly", outcomes_of(Effect.IN_PART)),
    ("left to ExecuTorch", outcomes_of(Effect.LEFT_OUT)),
    ("refused", outcomes_of(Effect.REFUSED)),
    ("fail", outcomes_of(Effect.FAILS, Effect.CONTRADICTORY)),
    ("wrong", outcomes_of(Effect.WRONG, Effect.OUT_OF_RANGE, Effect.UNSTABLE)),
    ("not judged", outcomes_of(Effect.NOTHING)),
)


def _headline(rows: Sequence[ModelRow]) -> str:
    """`40 of 52 models pass, ...; 8 partly; 4 fail`."""
    found = [row.records[MAIN] for row in rows if MAIN in row.records]
    numbers = {word: sum(record.outcome in outcomes for record in found) for word, outcomes in _COMES_TO}
    rest = [f"{n} {word}" for word, n in list(numbers.items())[1:] if n]
    wholly = f"{numbers['pass']} of {counted(len(found), 'model')} pass, delegated wholly and within bounds"
    return "; ".join([wholly, *rest])


def _counts(rows: Sequence[ModelRow], named: Mapping[str, str]) -> str:
    lines = []
    for recipe, label in named.items():
        found = [row.records[recipe].outcome for row in rows if recipe in row.records]
        lines.append((label, len(found), *(sum(o in outcomes for o in found) or "" for _, outcomes in _COMES_TO)))
    headers = ["recipe", "models", *(word for word, _ in _COMES_TO)]
    return table(headers, lines, ["left", *["right"] * (len(headers) - 1)])


def _table(rows: Sequence[ModelRow], columns: Sequence[str], named: Mapping[str, str]) -> str:
    sized = [recipe for recipe in columns if named[recipe] in ("fp16", "int4")]
    others = any(recipe not in columns for row in rows for recipe in row.records)
    headers = ["model", *(named[recipe] for recipe in columns), *(["other recipes"] if others else [])]
    headers += ["within bound", "SQNR dB", "top-1, top-5 %", "delegates", "islands", "nodes %", "FLOPs %"]
    headers += [*(f"MB {named[recipe]}" for recipe in sized), "lowering s"]
    lines = []
    for row in rows:
        rest = [f"{named[name]}: {record.outcome}" for name, record in row.records.items() if name not in columns]
        lines.append(
            [
                code(row.name) if row.passes else f"[{row.name}](#{anchor(row.name)})",
                *(_outcome(row.records.get(recipe)) for recipe in columns),
                *(["; ".join(rest)] if others else []),
                *_numbers(row.main),
                *(_megabytes(row.records.get(recipe)) for recipe in sized),
                number(row.lowering_s, FEW),
            ]
        )
    first = headers.index("within bound")
    return table(headers, lines, ["left"] * first + ["right"] * (len(headers) - first))


def _outcome(record: Record | None) -> str:
    if record is None:
        return ""
    return str(record.outcome) if record.outcome is Outcome.PASS else f"**{record.outcome}**"


def _numbers(record: Record | None) -> list[str]:
    """How close, how it ranks, and how it is divided."""
    if record is None:
        return [""] * 7
    numerics, division = record.numerics, record.division
    delegated, left = (sum(operators_of(counts).values()) for counts in (record.delegated, record.fallback))
    ranks = ""
    if numerics is not None and numerics.top1 is not None:
        tied = f" +{percent(numerics.tied)} tied" if numerics.tied else ""
        ranks = ", ".join(p for p in (f"{percent(numerics.top1)}{tied}", percent(numerics.top5)) if p)
    return [
        times(headroom_of(record), FEW),
        decibel(numerics.sqnr_db if numerics else None),
        ranks,
        str(division.delegates) if division else "",
        str(division.number_of_islands) if division else "",
        percent(delegated, delegated + left),
        percent(division.delegated_flops, division.flops) if division else "",
    ]


def _megabytes(record: Record | None) -> str:
    return number(record.size / 1e6, FEW) if record is not None and record.size else ""


def _causes(records: Sequence[Record], by_slug: Mapping[str, Cause]) -> str:
    """The causes behind what does not pass, those that strike most models first, each with what to do about it."""
    striking = {slug: one for slug, one in priorities(records).items() if one.models}
    rows = [
        (cause_links([slug]), len(one.models), codes(one.models, limit=8), words(_condition(by_slug.get(slug))))
        for slug, one in sorted(striking.items(), key=lambda item: (*item[1].sort_key, item[0]))
    ]
    return table(["cause", "models", "which", "when"], rows, ["left", "right", "left", "left"]) if rows else ""


def _condition(cause: Cause | None) -> str:
    return (cause.condition or cause.title) if cause is not None else ""


def _details(row: ModelRow, named: Mapping[str, str], by_slug: Mapping[str, Cause]) -> dict[str, Any]:
    """What does not pass of a model: its records that are alike are told once."""
    groups: dict[tuple[Outcome, str, str], list[Record]] = {}
    for record in row.records.values():
        if record.outcome is not Outcome.PASS:
            why = "" if record.cause or record.outcome in UNJUDGED else what_went_wrong(record)
            groups.setdefault((record.outcome, record.cause or "", why), []).append(record)
    order = sorted(groups.items(), key=lambda item: (ORDER.index(item[0][0]), item[0]), reverse=True)
    lines = [line for _, records in order for line in _told(records, named, by_slug)]
    return {"name": row.name, "api": code(row.api) if row.api else "", "text": "\n".join(lines)}


def _told(records: Sequence[Record], named: Mapping[str, str], by_slug: Mapping[str, Cause]) -> list[str]:
    first = records[0]
    recipes = ", ".join(named[record.recipe] for record in records)
    cause = by_slug.get(first.cause or "")
    if first.cause:
        why = f"{cause_links([first.cause])}{': ' + words(cause.title) if cause else ''}"
    elif first.outcome in UNJUDGED:
        why = plain(first.reason, 300)
    elif first.outcome in outcomes_of(Effect.IN_PART, Effect.LEFT_OUT):
        why = "right, and in part left to ExecuTorch's own kernels"
    else:
        why = f"no cause is described yet: {plain(what_went_wrong(first), 300)}"
    lines = [_bullet(f"{recipes}: **{first.outcome}**, {why}")]
    if blamed := sorted({operator for record in records for operator in record.blamed}):
        lines.append(_bullet(f"at: {codes(blamed, limit=6)}", 1))
    if cause is not None and cause.condition:
        lines.append(_bullet(f"when: {words(cause.condition)}", 1))
    if (division := next((r.division for r in records if r.division), None)) is not None and division.islands:
        made = ", ".join(f"{code(name)} in {n}" for name, n in list(division.on_islands.items())[:8])
        lines.append(_bullet(f"{counted(division.number_of_islands, 'island')} left to ExecuTorch: {made}", 1))
    if first.missing_kernels:
        lines.append(_bullet(f"ExecuTorch has no kernel for {codes(first.missing_kernels, limit=6)}", 1))
    if first.outcome not in UNJUDGED:
        lines += [_bullet(text, 1) for text in _ways_around(records, cause)]
    return lines


def _ways_around(records: Sequence[Record], cause: Cause | None) -> list[str]:
    """What was verified on this model, what its cause says, or that there is none."""
    told = []
    remedy = next((record.remedy for record in records if record.remedy is not None), None)
    if remedy is not None and remedy.outcome is not None:
        told.append(f"way around, verified: {summary(remedy)}; it comes to {leads_to(remedy)}")
    elif remedy is not None:
        told.append(f"way around: {summary(remedy)}")
    if cause is not None and cause.remedy:
        told.append(f"what to do: {' '.join(cause.remedy.split())}")
    return told or ["no way around is known"]


def _bullet(text: str, depth: int = 0) -> str:
    """A line of a list, wrapped."""
    indent = "  " * depth
    return textwrap.fill(
        text,
        _WIDTH,
        initial_indent=f"{indent}- ",
        subsequent_indent=f"{indent}  ",
        break_long_words=False,
        break_on_hyphens=False,
    )
