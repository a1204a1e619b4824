"""Units side by side: eager, the reference executor and each unit of Core ML, for one check and for all of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tabulate import tabulate

from harness.evidence.files import Evidence, is_simulated
from harness.evidence.notes import NoteCode
from harness.evidence.numerics import decibel, number, times
from harness.evidence.record import Record, natural_key
from harness.evidence.unit import UnitSpec
from harness.evidence.vocabulary import HARDWARE_UNITS, RUNTIME, UNJUDGED, Outcome, Unit
from harness.publish.environments import describe_environment, is_mac, system_name
from harness.publish.markdown import code, plain, shorten, table
from harness.publish.model import Checks, Matrix, Place
from harness.publish.summary import what_went_wrong

PAGE = "units.md"
Environments = Mapping[str, dict[str, Any]]

_ORDER = tuple(Unit)
HEADERS = ("", "outcome", "error", "bound", "headroom", "at", "from the reference", "stage")
#: Stages a record may have, and where the reference executor could not tell.
_STAGES = (RUNTIME, "lowering", "precision", "")


def beside(evidence: Evidence, record: Record) -> list[Record]:
    """The records of the same case and recipe, of every unit and environment: the reference first."""
    alike = [r for r in evidence.records if (r.case, r.recipe) == (record.case, record.recipe)]
    return sorted(alike, key=lambda r: (_unit_key(r.unit), r.environment))


def side_by_side(records: Sequence[Record], environments: Environments) -> list[tuple[str, ...]]:
    """Rows under `HEADERS`: eager, the reference, each unit, of one case and recipe."""
    rows: list[tuple[str, ...]] = [("eager", _eager(records), "", "", "", "", "", "")]
    told = next((r.against_reference for r in records if r.against_reference), {})
    if told and all(record.unit != Unit.REFERENCE for record in records):
        rows.append(("reference (in the same check)", str(told.get("outcome", "")), "", "", "", "", "", ""))
    several = len({record.environment for record in records}) > 1
    for record in records:
        block = environments.get(record.environment) or {}
        name = record.unit + (f" ({_place(block)})" if several or is_simulated(block) else "")
        rows.append((name, str(record.outcome), *_numbers(record), _from_reference(record), record.stage))
    return rows


def beside_text(evidence: Evidence, record: Record) -> str:
    """`side_by_side` of a record as text; empty where no unit judged the check."""
    records = beside(evidence, record)
    if all(r.outcome is Outcome.NOT_RUN for r in records):
        return ""
    rows = [[shorten(cell, 60) for cell in row] for row in side_by_side(records, evidence.environments)]
    return tabulate(rows, headers=HEADERS, tablefmt="simple", disable_numparse=True)


def _unit_key(unit: str) -> tuple[int, str]:
    kind = UnitSpec.parse(unit).kind
    return (_ORDER.index(kind), unit)


def _eager(records: Sequence[Record]) -> str:
    for record in records:
        if record.outcome is Outcome.INVALID_CASE:
            return f"judges nothing: {record.reason}"
        for note in record.notes:
            if note.code is NoteCode.TRUTH:
                return f"the truth, {note.detail.removeprefix('truth is ')}"
    return "the truth, in float64"


def _place(block: dict[str, Any]) -> str:
    parts = ["SIMULATED" if is_simulated(block) else "", system_name(block), str(block.get("chip") or "")]
    return ", ".join(part for part in parts if part) or "unknown"


def _numbers(record: Record) -> tuple[str, str, str, str]:
    """Error, bound, headroom and element; of a whole model the largest error and the signal to noise."""
    n = record.numerics
    if n is None:
        return "", "", "", ""
    error = n.worst if n.worst is not None else n.max_abs
    signal = n.worst is None and n.sqnr_db is not None
    headroom = f"{decibel(n.sqnr_db)} dB" if signal else times(n.headroom)
    return number(error), number(n.limit), headroom, n.at or ""


def _from_reference(record: Record) -> str:
    told = record.against_reference
    if told.get("equal"):
        return "equal"
    if "differs" in told:
        return str(told["differs"])
    if "max_abs" in told:
        return f"{number(told['max_abs'])}, {number(told['max_ulp'])} ulp"
    return str(told.get("reason", ""))


# The page.


@dataclass
class _Comparison:
    """What the records of one unit say beside the reference's."""

    checks: int = 0
    alike: int = 0
    equal: int = 0
    answers: int = 0
    stages: Counter[str] = field(default_factory=Counter)


def units_context(matrix: Matrix) -> dict[str, Any]:
    """What the template shows."""
    checks, environments = matrix.checks, matrix.described
    columns = sorted({column for members in checks.values() for column in members}, key=_column_key)
    titles = _titles(columns, environments)
    measured = [column for column in columns if _is_core_ml(column, environments)]
    return {
        "environments": [describe_environment(block) for _, block in sorted(environments.items())],
        "columns": [titles[column] for column in columns],
        "measured": [titles[column] for column in measured],
        "missing": [f"`{unit}`" for unit in HARDWARE_UNITS if unit not in {column.unit for column in measured}],
        "summary": _summary(checks, measured, titles),
        "disagreements": _disagreements(checks, columns, titles),
        "distances": _distances(checks, measured, titles),
    }


def _column_key(column: Place) -> tuple[Any, ...]:
    return (_unit_key(column.unit), column.environment)


def _titles(columns: Iterable[Place], environments: Environments) -> dict[Place, str]:
    columns = list(columns)
    often = Counter(column.unit for column in columns)
    return {
        c: c.unit if often[c.unit] == 1 else f"{c.unit} ({_place(environments.get(c.environment) or {})})"
        for c in columns
    }


def _is_core_ml(column: Place, environments: Environments) -> bool:
    """Elsewhere than on a Mac an `executorch` record is of a program without delegates."""
    return UnitSpec.parse(column.unit).runs_core_ml and is_mac(environments.get(column.environment))


def _reference_of(members: Mapping[Place, Record], record: Record) -> Outcome | None:
    """How the reference judged the check: as the record itself says, or a record of the same environment, or any."""
    if told := record.against_reference.get("outcome"):
        return Outcome(told)
    known = {column.environment: r.outcome for column, r in members.items() if column.unit == Unit.REFERENCE}
    return known.get(record.environment) or next(iter(known.values()), None)


def _summary(checks: Checks, measured: Sequence[Place], titles: Mapping[Place, str]) -> str:
    found: dict[tuple[Place, str], _Comparison] = defaultdict(_Comparison)
    for (_, recipe), members in checks.items():
        for column in measured:
            if (record := members.get(column)) is None:
                continue
            one = found[column, recipe]
            one.checks += 1
            one.alike += _reference_of(members, record) is record.outcome
            one.answers += "equal" in record.against_reference
            one.equal += bool(record.against_reference.get("equal"))
            if record.error is not None:
                one.stages[record.stage] += 1
    rows = [
        (titles[column], recipe, c.checks, c.alike, f"{c.equal} of {c.answers}", *(c.stages[s] for s in _STAGES))
        for (column, recipe), c in sorted(found.items(), key=lambda item: (_column_key(item[0][0]), item[0][1]))
    ]
    headers = ["unit", "recipe", "checks", "outcome as the reference's", "same answer"]
    headers += [f"fails: {stage}" for stage in _STAGES[:-1]] + ["fails: stage unknown"]
    return table(headers, rows, ["left", "left", *["right"] * (len(headers) - 2)]) if rows else ""


def _disagreements(checks: Checks, columns: Sequence[Place], titles: Mapping[Place, str]) -> str:
    """Operators whose checks have another outcome on one unit than on another, or than on the reference."""
    groups: dict[tuple[Any, ...], list[Record]] = defaultdict(list)
    for (_, recipe), members in checks.items():
        expected = {outcome for r in members.values() if (outcome := _reference_of(members, r)) is not None}
        outcomes = {record.outcome for record in members.values()}
        if len(outcomes | (expected - UNJUDGED)) < 2:
            continue
        shown = tuple(str(members[column].outcome) if column in members else "" for column in columns)
        stages = ", ".join(
            f"{titles[column]}: {members[column].stage}"
            for column in columns
            if column in members and members[column].stage
        )
        worst = max(members.values(), key=lambda r: (bool(r.stage), r.error is not None, r.unit))
        groups[worst.subject, recipe, shown, stages].append(worst)
    rows = [
        (
            *(code(operator), recipe, *shown, stages, len(members), code(members[0].check_id)),
            plain(what_went_wrong(members[0]) if members[0].error else ""),
        )
        for (operator, recipe, shown, stages), members in sorted(groups.items(), key=_group_key)
    ]
    headers = ["operator", "recipe", *(titles[c] for c in columns), "stage", "checks", "for example", "what"]
    return table(headers, rows) if rows else ""


def _group_key(item: tuple[tuple[Any, ...], list[Record]]) -> tuple[Any, ...]:
    operator, *rest = item[0]
    return natural_key(operator), rest


def _distances(checks: Checks, measured: Sequence[Place], titles: Mapping[Place, str]) -> str:
    """How far from the reference's answer each unit's is where it is another: of each operator the farthest."""
    farthest: dict[tuple[str, str], dict[Place, list[Record]]] = defaultdict(lambda: defaultdict(list))
    for (_, recipe), members in checks.items():
        for column in measured:
            record = members.get(column)
            if record is not None and "max_ulp" in record.against_reference:
                farthest[record.subject, recipe][column].append(record)
    rows = []
    for (operator, recipe), found in sorted(farthest.items(), key=lambda item: (natural_key(item[0][0]), item[0][1])):
        cells = []
        for column in measured:
            ulps = [float(record.against_reference["max_ulp"]) for record in found.get(column, ())]
            cells.append(f"{number(max(ulps))} ulp in {len(ulps)}" if ulps else "")
        rows.append((code(operator), recipe, *cells))
    return table(["operator", "recipe", *(titles[column] for column in measured)], rows) if rows else ""
