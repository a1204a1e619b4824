"""Two runs side by side for the dashboard: what became of each check, in each environment against its own."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

from harness.evidence.files import Evidence
from harness.evidence.numerics import headroom_of
from harness.evidence.record import Record, natural_key
from harness.evidence.vocabulary import RANK, UNJUDGED, HarnessError
from harness.publish.counterparts import counterparts
from harness.publish.environments import may_fill
from harness.publish.summary import what_went_wrong

#: Headroom that moves by less than this factor is taken for the same: the last digits differ from machine to machine.
FACTOR = 1.05


class Move(StrEnum):
    """How a check moved; in the order in which a reader wants to know."""

    WORSE = "worse"
    LOST = "no longer judged"
    BETTER = "better"
    OTHERWISE = "fails otherwise"
    NEARER = "nearer to its bound"
    FARTHER = "farther from its bound"
    NEW = "new"


@dataclass(frozen=True)
class Moved:
    """A check that is not as it was; a side is None where it has no such record."""

    move: Move
    before: Record | None
    after: Record | None

    @property
    def record(self) -> Record:
        record = self.after or self.before
        assert record is not None
        return record


@dataclass
class Comparison:
    """All that moved, worst first; `same` counts the other checks. `pairs` are the environments held side by side."""

    pairs: list[tuple[str, str]]
    moved: list[Moved] = field(default_factory=list)
    same: int = 0

    @property
    def counts(self) -> dict[str, int]:
        found = Counter(one.move for one in self.moved)
        return {str(move): found[move] for move in Move if found[move]}


def compare_runs(before: Evidence, after: Evidence) -> Comparison:
    """Compare by check id, each environment of `after` with its counterpart.

    Raises `HarnessError` where the runs share no check, or where more than one environment would fit another.
    """
    result = Comparison(_pairs(before, after))
    old, new = _by_environment(before), _by_environment(after)
    for earlier, later in result.pairs:
        first, second = old[earlier], new[later]
        for check in sorted(first.keys() | second.keys(), key=natural_key):
            move = _move(first.get(check), second.get(check))
            if move is None:
                result.same += 1
            else:
                result.moved.append(Moved(move, first.get(check), second.get(check)))
    if not any(old[earlier].keys() & new[later].keys() for earlier, later in result.pairs):
        raise HarnessError("the two runs share no check of the same system: nothing to compare")
    order = list(Move)
    result.moved.sort(key=lambda one: order.index(one.move))
    return result


def _pairs(before: Evidence, after: Evidence) -> list[tuple[str, str]]:
    blocks = [{name: side.environments.get(name) or {} for name in _by_environment(side)} for side in (before, after)]
    return list(counterparts(*blocks).pairs)


def _by_environment(evidence: Evidence) -> dict[str, dict[str, Record]]:
    found: dict[str, dict[str, Record]] = {}
    for record in evidence.records:
        if may_fill(record.unit, evidence.environments.get(record.environment)):
            found.setdefault(record.environment, {})[record.check_id] = record
    return dict(sorted(found.items()))


def _move(before: Record | None, after: Record | None) -> Move | None:
    if before is None or after is None:
        judged = (after or before) is not None and (after or before).outcome not in UNJUDGED  # type: ignore[union-attr]
        return (Move.NEW if before is None else Move.LOST) if judged else None
    first, second = RANK.get(before.outcome), RANK.get(after.outcome)
    if first is None or second is None:
        return None if first == second else Move.NEW if first is None else Move.LOST
    if first != second:
        return Move.WORSE if second > first else Move.BETTER
    if before.phase is not after.phase or what_differs(before) != what_differs(after):
        return Move.OTHERWISE
    return _closer(headroom_of(before), headroom_of(after))


def what_differs(record: Record) -> str:
    """The error of a record without what changes from run to run; empty where nothing was raised."""
    return what_went_wrong(record) if record.error is not None else ""


def _closer(before: float | None, after: float | None) -> Move | None:
    if before is None or after is None or before == after:
        return None
    if after * FACTOR < before:
        return Move.NEARER
    return Move.FARTHER if before * FACTOR < after else None
