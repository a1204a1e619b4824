"""Whether a run on the simulated host found on every Core ML unit what it found on the reference.

    python tests/simulated/compare.py RUN_DIR

The simulated host predicts with the reference executor, so the Mac path, from compiling to the verdict, must not change
anything a record says of the backend. What may differ all the same is a rule of `RULES`: counted, never passed over.
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.evidence.files import Evidence, is_simulated
from harness.evidence.journal import read_run_or_file
from harness.evidence.notes import NoteCode
from harness.evidence.record import Record
from harness.evidence.vocabulary import HARDWARE_UNITS, RUNTIME, WORKING, HarnessError, Outcome, Unit

#: What must be the same on every unit, as it stands in the record's JSON.
FIELDS = (
    "outcome",
    "phase",
    "seed",
    "delegated",
    "fallback",
    "missing_kernels",
    "mil_ops",
    "numerics",
    "reason",
)

Pair = Callable[[Record, Record], bool]


@dataclass(frozen=True)
class Rule:
    """A difference that is right: for which pairs (reference, unit), and in which fields."""

    name: str
    applies: Pair
    fields: frozenset[str]


def _undocumented(reference: Record, unit: Record) -> bool:
    return reference.outcome is Outcome.NOT_RUN and reference.reason.startswith("undocumented semantics")


def _no_kernel(reference: Record, unit: Record) -> bool:
    """The fake's executor lacks the kernel as well; Core ML would have it, so this is said as a failure to predict."""
    lacking = reference.outcome is Outcome.NOT_RUN and "no kernel for MIL" in reference.reason
    return lacking and unit.outcome is Outcome.RUN_ERROR


def _contradiction(reference: Record, unit: Record) -> bool:
    """Core ML says of a program that contradicts itself that it does not load, or run; the reason is the same."""
    if reference.outcome is not Outcome.INVALID_PROGRAM or reference.error is None or unit.error is None:
        return False
    return unit.outcome in (Outcome.LOAD_ERROR, Outcome.RUN_ERROR) and reference.error.message in unit.error.message


_VERDICT = frozenset({"outcome", "phase", "numerics", "reason", "error", "mil_ops"})
RULES = (
    Rule("the reference does not judge by undocumented semantics", _undocumented, _VERDICT),
    Rule("the reference executor has no kernel, which Core ML says as a failure to predict", _no_kernel, _VERDICT),
    Rule("a program that contradicts itself is refused at load or run", _contradiction, _VERDICT),
)


@dataclass
class Comparison:
    """`differences` by check id; `excused` counts pairs by rule; `placed` and `unplaced` count working records of
    programs with a delegate that have a placement, or a note why not."""

    pairs: int = 0
    differences: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    excused: Counter[str] = field(default_factory=Counter)
    placed: int = 0
    unplaced: int = 0

    def text(self) -> str:
        lines = [f"{identity}: {what}" for identity, found in sorted(self.differences.items()) for what in found]
        lines += [f"{count} pairs: {rule}" for rule, count in sorted(self.excused.items())]
        lines.append(f"{self.pairs} pairs compared, {sum(map(len, self.differences.values()))} differences; ")
        lines[-1] += f"{self.placed} records with a placement, {self.unplaced} with a note why not"
        return "\n".join(lines)


def compare(records: Iterable[Record], units: Iterable[str] = HARDWARE_UNITS) -> Comparison:
    """Every record of `units` against the reference's of the same case and recipe. A missing record is a difference."""
    units = [str(unit) for unit in units]
    by_check: dict[str, dict[str, Record]] = defaultdict(dict)
    for record in records:
        by_check[f"{record.case}@{record.recipe}"][record.unit] = record
    result = Comparison()
    for check, by_unit in sorted(by_check.items()):
        reference = by_unit.get(Unit.REFERENCE)
        if reference is None:
            result.differences[check].append("no record of the reference")
            continue
        for name in units:
            if name in by_unit:
                _compare_pair(reference, by_unit[name], result)
            else:
                result.differences[f"{check}@{name}"].append("no record")
    return result


def _compare_pair(reference: Record, unit: Record, result: Comparison) -> None:
    result.pairs += 1
    rules = [rule for rule in RULES if rule.applies(reference, unit)]
    excused = frozenset[str]().union(*(rule.fields for rule in rules))
    differing = dict(_differing(reference, unit))
    result.excused.update(rule.name for rule in rules if rule.fields & differing.keys())
    found = result.differences[unit.check_id]
    found += [text for name, text in differing.items() if name not in excused]
    found += [f"{r.unit}: the harness itself failed: {r.reason}" for r in (reference, unit) if r.is_harness_fault]
    if unit.stage == RUNTIME:
        found.append("the runtime is blamed for what the reference finds as well")
    if not unit.against_reference.get("equal", True):
        found.append(f"the answer is not the reference's: {unit.against_reference}")
    if unit.outcome in WORKING and unit.mil_ops:
        unknown = any(note.code is NoteCode.PLACEMENT_UNKNOWN for note in unit.notes)
        result.placed += bool(unit.placement)
        result.unplaced += unknown and not unit.placement
        if not unit.placement and not unknown:
            found.append("neither a placement nor a note why there is none")
    if reference.placement:
        found.append("the reference has a placement")
    if not found:
        del result.differences[unit.check_id]


def _differing(reference: Record, unit: Record) -> Iterable[tuple[str, str]]:
    ours, theirs = reference.to_json(), unit.to_json()
    for record, data in ((reference, ours), (unit, theirs)):
        data["error"] = None if record.error is None else (record.error.type, record.error.signature)
    for name in (*FIELDS, "error"):
        if ours.get(name) != theirs.get(name):
            yield name, f"{name} is {_short(theirs.get(name))}, of the reference {_short(ours.get(name))}"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 200 else f"{text[:200]}..."


def unlabelled(evidence: Evidence) -> list[str]:
    """Environments of the records that are not labelled simulated."""
    used = {record.environment for record in evidence.records}
    return sorted(name for name in used if not is_simulated(evidence.environments.get(name)))


def main(run_dir: str) -> int:
    evidence = read_run_or_file(Path(run_dir))
    result = compare(evidence.records)
    print(result.text())
    for name in unlabelled(evidence):
        print(f"not labelled simulated: {name}")
    return int(bool(result.differences or unlabelled(evidence) or not result.pairs))


if __name__ == "__main__":
    try:
        raise SystemExit(main(sys.argv[1]))
    except HarnessError as error:
        raise SystemExit(f"{error}") from None
