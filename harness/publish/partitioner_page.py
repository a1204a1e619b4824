"""The partitioner's page: its rules and whether they are still needed, and where it and the converters disagree."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from harness.evidence.names import same_operator
from harness.evidence.partitioner_rules import KINDS, SOURCE_FILE, PartitionerRule, Trial
from harness.evidence.record import Record, natural_key
from harness.evidence.universe import Universe
from harness.evidence.vocabulary import DELEGATED, FAILING, UNJUDGED, WORKING, Outcome
from harness.publish.environments import describe_environment
from harness.publish.graphs import operators_of
from harness.publish.markdown import code, codes, counted, plain, table
from harness.publish.model import Matrix

PAGE = "partitioner.md"
NEEDED, NOT_NEEDED, IN_PART = "needed", "**no longer needed**", "needed in part"
NO_EFFECT, UNSEEN = "no effect: not delegated without it either", "not measured"
#: What a rule that is not there for conversion comes to when conversion and result are right.
ELSEWHERE = {"device": "not told here: it is about a device", "speed": "not told here: it is about speed"}
#: Records by rule, and whether it was switched off.
_Tried = dict[tuple[str, bool], list[Record]]
ACTS, IDLE = "acts", "**does not act**"


def partitioner_context(matrix: Matrix, rows: Sequence[PartitionerRule], universe: Universe | None) -> dict[str, Any]:
    """What the page's template needs; tables are empty texts where there is nothing to show."""
    tried: _Tried = defaultdict(list)
    for record in matrix.partitioner:
        trial = Trial.of(record)
        tried[trial.rule, trial.switched_off].append(record)
    by_kind = {kind: [r for r in rows if r.kind == kind] for kind in KINDS}
    return {
        "environments": [plain(describe_environment(b)) for _, b in sorted(matrix.described.items())],
        "source_file": SOURCE_FILE,
        "rules": _rule_table(by_kind["rejects"] + by_kind["decomposes"], tried),
        "reaches": _reach_table(by_kind["reaches"], tried),
        "options": _option_table(by_kind["option"], tried),
        "refused": _refused_table(matrix.records),
        "replaced": _replaced_table(matrix.records, universe, {row.op for row in rows}),
        "unclaimed": codes(_unclaimed(universe), limit=None),
    }


def verdict(row: PartitionerRule, off: Sequence[Record]) -> str:
    """Whether a rule is still needed, from the records of its programs without it."""
    judged = [record for record in off if record.outcome not in UNJUDGED]
    if not judged:
        return UNSEEN
    good = [record for record in judged if record.outcome in DELEGATED and _delegated(row, record)]
    bad = [record for record in judged if record.outcome not in WORKING]
    if bad:
        return IN_PART if good else NEEDED
    if not good:
        return NO_EFFECT
    return ELSEWHERE.get(row.reason, NOT_NEEDED)


def acts(row: PartitionerRule, on: Sequence[Record]) -> str:
    """Whether a rule has the effect it states, from the records of its program as it stands."""
    judged = [record for record in on if record.outcome not in UNJUDGED]
    if not judged:
        return UNSEEN
    return IDLE if any(_delegated(row, record) for record in judged) else ACTS


def _delegated(row: PartitionerRule, record: Record) -> bool:
    return any(same_operator(row.op, name) for name in operators_of(record.delegated))


def _outcomes(records: Iterable[Record], programs: int) -> str:
    """`convert_error 2, wrong_shape 2`, and of how many programs when several."""
    counts = Counter(str(record.outcome) for record in records)
    text = ", ".join(f"{outcome} {count}" for outcome, count in sorted(counts.items()))
    return f"{text} ({programs} programs)" if text and programs > 1 else text


def _first_failure(records: Sequence[Record]) -> str:
    failed = [record for record in records if record.outcome in FAILING]
    if not failed:
        return ""
    worst = min(failed, key=lambda record: natural_key(record.check_id))
    return plain(worst.error.message.strip().partition("\n")[0] if worst.error else worst.reason)


def _rule_table(rows: Sequence[PartitionerRule], tried: _Tried) -> str:
    lines = []
    for row in rows:
        on, off = tried.get((row.name, False), []), tried.get((row.name, True), [])
        says = f"{row.says} ([thread]({row.url}))" if row.url else row.says
        lines.append(
            (
                *(code(row.op), says, row.line or "gone", acts(row, on)),
                *(_outcomes(off, len(row.programs)), _first_failure(off), verdict(row, off)),
            )
        )
    headers = ["operator", "rule", "line", "as it stands", "switched off", "first failure", "verdict"]
    return table(headers, lines) if lines else ""


def _reach_table(rows: Sequence[PartitionerRule], tried: _Tried) -> str:
    lines = []
    for row in rows:
        on, off = tried.get((row.name, False), []), tried.get((row.name, True), [])
        works = verdict(row, off)
        could = {NOT_NEEDED: "**yes**", IN_PART: "in part", NEEDED: "no"}.get(works, works)
        lines.append((code(row.op), _outcomes(on, 1), _outcomes(off, len(row.programs)), _first_failure(off), could))
    headers = ["operator", "by default", "let through", "first failure", "Core ML could run it"]
    return table(headers, lines) if lines else ""


def _option_table(rows: Sequence[PartitionerRule], tried: _Tried) -> str:
    lines = []
    for row in rows:
        on = tried.get((row.name, False), [])
        left = sorted({name for record in on for name in operators_of(record.fallback)})
        lines.append((row.name, row.says, code(row.programs[0]), _outcomes(on, 1), codes(left), _first_failure(on)))
    headers = ["option", "says", "program", "outcome", "left to ExecuTorch", "first failure"]
    return table(headers, lines) if lines else ""


def _refused_table(records: Iterable[Record]) -> str:
    """Operators that were claimed, and whose conversion raised: by operator and cause, else by the error."""
    groups: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in records:
        if record.outcome is Outcome.CONVERT_ERROR and record.error is not None:
            why = f"[{record.cause}](findings.md#{record.cause})" if record.cause else plain(record.error.text)
            groups[record.subject, why].append(record)
    lines = [
        (code(operator), why, counted(len(found), "check"), code(found[0].check_id))
        for (operator, why), found in sorted(groups.items(), key=lambda item: (natural_key(item[0][0]), item[0][1]))
    ]
    return table(["operator", "cause", "checks", "for example"], lines) if lines else ""


def _replaced_table(records: Iterable[Record], universe: Universe | None, tried: set[str]) -> str:
    """Operators that coremltools converts whole, taken apart before the partitioner is asked, and not all delegated."""
    if universe is None:
        return ""
    claimed = {
        operator.name
        for operator in universe.operators.values()
        if {"coremltools", "executorch"} & set(operator.sources) and "composite" in operator.tags
    } - tried
    found: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        lost = record.outcome is Outcome.UNSUPPORTED or operators_of(record.fallback)
        if record.op in claimed and lost and not _names(record, record.op):
            found[record.op].append(record)
    lines = []
    for name, members in sorted(found.items(), key=lambda item: natural_key(item[0])):
        left = sorted({part for record in members for part in operators_of(record.fallback)})
        lines.append((code(name), codes(left), _first_failure(members), len({record.case for record in members})))
    return table(["operator", "parts left to ExecuTorch", "refused", "cases"], lines) if lines else ""


def _names(record: Record, operator: str) -> bool:
    return any(same_operator(operator, name) for name in (*record.delegated, *record.fallback))


def _unclaimed(universe: Universe | None) -> list[str]:
    """Core ATen overloads no converter is registered for."""
    return sorted(o.name for o in universe.operators.values() if set(o.sources) == {"core"}) if universe else []
