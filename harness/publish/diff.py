"""Two sets of records compared check by check, every environment with its counterpart.

Classes of change are those of `harness.publish.changes`. A check has one change of outcome at most, and besides one for
each number that got worse. Numbers are compared where the outcome stayed or the program works on both sides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.evidence.files import Evidence
from harness.evidence.record import Record
from harness.evidence.verify import require_sound
from harness.evidence.vocabulary import BEFORE_RUNNING, RANK, UNJUDGED, WORKING, HarnessError, Outcome
from harness.publish.ane import ANE, tells
from harness.publish.changes import CLASSES, Change, counted, grouped
from harness.publish.counterparts import counterparts
from harness.publish.environments import describe_environment
from harness.publish.graphs import operators_of, without_kernel
from harness.publish.measures import MEASURES, Limits
from harness.publish.summary import what_went_wrong

#: What ends a check without an answer, whatever it would have been.
ENDINGS = frozenset({Outcome.CRASH, Outcome.TIMEOUT})
_DELEGATES_LESS = frozenset({Outcome.PARTIAL, Outcome.FALLBACK})
_DELEGATES_MORE = frozenset({Outcome.PASS, Outcome.PARTIAL})


@dataclass
class Part:
    """One environment and its counterpart. `judged` counts the baseline's checks, `compared` those judged on both
    sides, `candidate_judged` the candidate's, `same` the compared ones without a change."""

    baseline: str
    candidate: str
    judged: int = 0
    compared: int = 0
    candidate_judged: int = 0
    same: int = 0
    changes: list[Change] = field(default_factory=list)

    @property
    def share(self) -> float:
        """Of what the baseline judged, what is compared; 1 where it judged nothing."""
        return self.compared / self.judged if self.judged else 1.0


@dataclass
class Diff:
    """What is compared with what, and all changes, sorted."""

    baseline: Evidence
    candidate: Evidence
    parts: list[Part] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    gone: tuple[str, ...] = ()
    new: tuple[str, ...] = ()

    def of(self, kind: str) -> list[Change]:
        return [change for change in self.changes if change.kind == kind]


def diff(baseline: Evidence, candidate: Evidence, limits: Mapping[str, Limits]) -> Diff:
    """Raises `HarnessError` when nothing can be compared: no environment has a counterpart, nothing is judged on both
    sides, or one side is ambiguous in itself."""
    names = [str(side.path or word) for side, word in ((baseline, "the baseline"), (candidate, "the candidate"))]
    for side, name in zip((baseline, candidate), names, strict=True):
        require_sound(side, name)
        if not side.records:
            raise HarnessError(f"{name}: no records")
    before, after = _by_environment(baseline), _by_environment(candidate)
    blocks = {name: baseline.environments[name] for name in before}
    matched = counterparts(blocks, candidate.environments)
    if not matched.pairs:
        raise HarnessError(
            f"{names[1]}: of another system than {names[0]}: {_systems(candidate.environments)}, not {_systems(blocks)}"
        )
    result = Diff(baseline, candidate, gone=matched.gone, new=tuple(name for name in matched.new if name in after))
    result.parts = [_part(pair, before[pair[0]], after.get(pair[1], {}), limits) for pair in matched.pairs]
    if not any(part.compared for part in result.parts):
        raise HarnessError(f"{names[1]}: judges no check of {names[0]}")
    result.changes = [change for part in result.parts for change in part.changes]
    for kind, gone, records in (("environment_gone", result.gone, before), ("environment_new", result.new, after)):
        for name in gone:
            checks = sum(record.outcome not in UNJUDGED for record in records[name].values())
            if checks:
                result.changes.append(Change(kind, name, name, detail=f"{checks:,} judged checks", checks=checks))
    result.changes.sort(key=Change.sort_key)
    return result


def _by_environment(evidence: Evidence) -> dict[str, dict[str, Record]]:
    found: dict[str, dict[str, Record]] = {}
    for record in evidence.records:
        found.setdefault(record.environment, {})[record.check_id] = record
    return found


def _systems(blocks: Mapping[str, dict[str, Any]]) -> str:
    return " and ".join(sorted({describe_machine(block) for block in blocks.values()})) or "none"


def describe_machine(block: Mapping[str, Any]) -> str:
    """`macos 15.2, arm64, Apple M4`, as it stands in a message about another one."""
    parts = (str(block.get(key, "")) for key in ("os", "machine", "chip"))
    return ", ".join(part for part in parts if part) or "an unknown system"


def _part(
    pair: tuple[str, str], before: dict[str, Record], after: dict[str, Record], limits: Mapping[str, Limits]
) -> Part:
    part = Part(*pair)
    part.judged = sum(record.outcome not in UNJUDGED for record in before.values())
    part.candidate_judged = sum(record.outcome not in UNJUDGED for record in after.values())
    measured = {(record.recipe, record.unit) for record in after.values() if _ran(record)}
    known = {(r.recipe, r.unit, r.subject) for r in before.values() if r.outcome in WORKING}
    lost: dict[tuple[str, str], int] = {}
    for check, one in before.items():
        other = after.get(check)
        if other is None or other.outcome in UNJUDGED:
            column = (one.recipe, one.unit)
            if one.outcome not in UNJUDGED and _ran(one) and column not in measured:
                lost[column] = lost.get(column, 0) + 1
            else:
                part.changes += _not_judged(pair[1], one, other)
            continue
        if one.outcome in UNJUDGED:
            part.changes.append(_first(pair[1], one, other, known))
            continue
        part.compared += 1
        changes = compare(one, other, limits, pair[1])
        part.same += not changes
        part.changes += changes
    part.changes += [_first(pair[1], None, other, known) for check, other in after.items() if check not in before]
    part.changes += [
        Change("column_gone", pair[1], f"*@{recipe}@{unit}", detail=f"{checks:,} judged checks", checks=checks)
        for (recipe, unit), checks in lost.items()
    ]
    return part


def _ran(record: Record) -> bool:
    """True when the unit itself judged something; a refusal to lower is the same on every unit."""
    return record.outcome not in UNJUDGED and record.phase not in BEFORE_RUNNING


def _not_judged(environment: str, before: Record, after: Record | None) -> list[Change]:
    """The candidate has nothing, or nothing judged."""
    if before.outcome not in UNJUDGED:
        reason = after.reason if after else ""
        return [Change("not_judged", environment, before.check_id, before, after, reason)]
    if after is None:
        return [Change("gone", environment, before.check_id, before)]
    if before.outcome is after.outcome and before.reason == after.reason:
        return []
    return [Change("changed", environment, after.check_id, before, after, after.reason)]


def _first(environment: str, before: Record | None, after: Record, known: set[tuple[str, str, str]]) -> Change:
    """Judged for the first time, or there for the first time."""
    if after.outcome in WORKING or after.outcome in UNJUDGED:
        kind = "new" if before is None else "judged_now"
    else:
        kind = "new_failure" if (after.recipe, after.unit, after.subject) in known else "first_failure"
    return Change(kind, environment, after.check_id, before, after, _wrong(after))


def compare(before: Record, after: Record, limits: Mapping[str, Limits], environment: str = "") -> list[Change]:
    """The changes of a check that both sides judge."""
    found = [*_outcome(before, after)]
    if before.outcome is after.outcome or (before.outcome in WORKING and after.outcome in WORKING):
        found += _placement(before, after)
        found += _numbers(before, after, limits)
    if not found:
        return []
    check = after.check_id
    return [Change(kind, environment, check, before, after, detail) for kind, detail in found]


def _outcome(before: Record, after: Record) -> list[tuple[str, str]]:
    """Class and detail of what became of the outcome; one at most."""
    step = RANK[after.outcome] - RANK[before.outcome]
    if after.outcome in ENDINGS and before.outcome not in ENDINGS:
        return [("crash", _wrong(after))]
    if step > 0:
        less = before.outcome in _DELEGATES_MORE and after.outcome in _DELEGATES_LESS
        return [("delegation_lost", _left(before, after))] if less else [("worse", _wrong(after))]
    if step < 0:
        return [("better", _wrong(after))]
    kernels = without_kernel(after) - without_kernel(before) if after.missing_kernels else set()
    if kernels:
        return [("kernel_lost", f"no kernel for {', '.join(sorted(kernels))}")]
    if before.fallback != after.fallback:
        if text := _left(before, after):
            return [("delegation_lost", text)]
        if won := _left_out(before) - _left_out(after):
            return [("better", f"no longer left out: {', '.join(sorted(won))}")]
    if before.phase is not after.phase:
        return [("changed", f"phase {before.phase} -> {after.phase}: {_wrong(after)}")]
    if before.stage and after.stage and before.stage != after.stage:
        return [("changed", f"stage {before.stage} -> {after.stage}: {_wrong(after)}")]
    if _signature(before) != _signature(after):
        return [("changed", f"{_wrong(before)} -> {_wrong(after)}")]
    return []


def _left(before: Record, after: Record) -> str:
    lost = _left_out(after) - _left_out(before)
    return f"no longer delegated: {', '.join(sorted(lost))}" if lost else ""


def _left_out(record: Record) -> set[str]:
    return set(operators_of(record.fallback))


def _signature(record: Record) -> tuple[str, str] | None:
    return (record.error.type, record.error.signature) if record.error else None


def _wrong(record: Record) -> str:
    return "" if record.outcome in WORKING else what_went_wrong(record)


def _placement(before: Record, after: Record) -> list[tuple[str, str]]:
    if not before.aten_placement and not before.placement:
        return []
    lost = set()
    for plan, now, there in (
        (before.aten_placement, after.aten_placement, after.delegated),
        (before.placement, after.placement, after.mil_ops),
    ):
        lost |= {name for name, entry in plan.items() if name in there and _off_the_ane(entry, now.get(name))}
    return [("placement_lost", f"no longer on the ANE: {', '.join(sorted(lost))}")] if lost else []


def _off_the_ane(before: dict[str, Any], after: dict[str, Any] | None) -> bool:
    """An entry that the plan no longer has, or that names no device, tells of no ANE either."""
    if not tells(before):
        return False
    now = after or {}
    listed = ANE in before.get("supported", ()) and ANE not in now.get("supported", ())
    return listed or (before.get("preferred") == ANE and now.get("preferred") != ANE)


def _numbers(before: Record, after: Record, limits: Mapping[str, Limits]) -> list[tuple[str, str]]:
    found = []
    for measure in MEASURES:
        was = measure.value(before)
        if was is None:
            continue
        now = measure.value(after)
        if now is None:
            if measure.always:
                found.append(("not_measured", f"{measure.name.partition('_')[0]}: was {measure.text(was)}"))
        elif was != now and measure.worse(was, now, limits[measure.name]):
            found.append((measure.name, f"{measure.text(was)} -> {measure.text(now)}"))
    return found


def head(result: Diff) -> list[str]:
    """Versions and systems of both sides, and how much is compared, by environment."""
    lines = []
    for part in result.parts:
        share = f"{part.compared:,} of {part.judged:,} checks that the baseline judged ({100 * part.share:.1f} %)"
        lines += [
            f"baseline:  {described(result.baseline, part.baseline)}",
            f"candidate: {described(result.candidate, part.candidate)}",
            f"compared:  {share}; the candidate judges {part.candidate_judged:,}",
        ]
    lines += [f"baseline only:  {described(result.baseline, name)}" for name in result.gone]
    lines += [f"candidate only: {described(result.candidate, name)}" for name in result.new]
    return lines


def described(evidence: Evidence, name: str) -> str:
    """An environment in a line, with the version of the harness that measured there."""
    block = evidence.environments[name]
    parts = [describe_environment(block) or name, f"harness {block['harness']}" if block.get("harness") else ""]
    return ", ".join(part for part in parts if part)


def render(result: Diff, *, limit: int | None = 5) -> str:
    """The whole comparison as text, by class and operator; at most `limit` checks of each operator."""
    lines = head(result)
    for kind, meaning in CLASSES.items():
        if changes := result.of(kind):
            lines += ["", f"{kind}: {counted(changes)}; {meaning}", *grouped(changes, limit)]
    totals = ", ".join(f"{sum(c.checks for c in changes):,} {kind}" for kind in CLASSES if (changes := result.of(kind)))
    return "\n".join([*lines, "", f"{totals or 'no change'}; {sum(part.same for part in result.parts):,} unchanged"])
