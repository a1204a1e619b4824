"""What running a program again on the reference executor tells: by other readings of what no documentation
settles, and with every float widened."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from harness.evidence.notes import Note, NoteCode
from harness.evidence.vocabulary import Outcome
from harness.lowering.lower import Emitted
from harness.units.base import ProgramResult
from harness.units.reference import ReferenceUnit
from harness.verdict.judge import Judgement, Question, judge, judge_readings
from harness.verdict.stage import RIGHT_WHEN_WIDENED, STILL_WRONG


def most_favourable(calls: Sequence[Question], emitted: Emitted, first: ProgramResult) -> Judgement | None:
    """The judgement of a program's most favourable reading, on the last of the calls; None where it does not run by
    another than that of `first`."""
    with contextlib.suppress(Exception):
        others = [_last_result(unit, calls, emitted) for unit in _OTHER_READINGS]
        filled = [_last_result(unit, calls, emitted) for unit in _FILLINGS]
        return judge_readings(calls[-1], first, others, filled)
    return None


def wrong_by_another(calls: Sequence[Question], emitted: Emitted) -> str:
    """By which reason a program that is right by the reading taken is wrong by another; empty where it is right by
    each that it runs by. Something arbitrary in the place of what has no other reading would be none."""
    for unit in _OTHER_READINGS:
        with contextlib.suppress(Exception):
            last = _last_result(unit, calls, emitted)
            verdict = judge(calls[-1], last.outputs, last.buffers).verdict
            if verdict.outcome is not Outcome.PASS:
                return verdict.reason
    return ""


def precision_note(calls: Sequence[Question], emitted: Emitted) -> Note:
    """With every float widened: still wrong is a lowering defect, now right an effect of precision."""
    with contextlib.suppress(Exception):
        last = _last_result(ReferenceUnit(mode="exact"), calls, emitted)
        right = judge(calls[-1], last.outputs, last.buffers).verdict.outcome is Outcome.PASS
        return RIGHT_WHEN_WIDENED if right else STILL_WRONG
    detail = "not told from precision: the program does not run with every float widened"
    return Note(NoteCode.NOT_WIDENED, detail)


_OTHER_READINGS = tuple(ReferenceUnit(reading=reading) for reading in (1, 2))
_FILLINGS = tuple(ReferenceUnit(filling=filling) for filling in (1, 2))


def _last_result(unit: ReferenceUnit, calls: Sequence[Question], emitted: Emitted) -> ProgramResult:
    """The result of the last of the calls, made one after the other."""
    first, *then = [asked.built.leaves for asked in calls]
    result = unit.run(emitted, first, then=then)
    return [result, *result.then][-1]
