"""Where a wrong answer of Core ML arose: the reference executor runs the same lowered program.

It follows the documented semantics of the emitted operators. Where it is right and the unit is wrong, the fault is the
runtime's; where both are wrong, it was lowered wrongly, or the recipe's precision does not suffice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from harness.evidence.notes import Note, NoteCode
from harness.evidence.record import ErrorInfo, Record
from harness.evidence.vocabulary import RUNTIME, WORKING, Outcome, Trait, outcomes_with
from harness.verdict.difference import Difference, difference

#: Of a value out of bounds on the reference, after it ran again with every float widened.
RIGHT_WHEN_WIDENED = Note(NoteCode.RIGHT_WHEN_WIDENED, "precision: right when every float is widened")
STILL_WRONG = Note(NoteCode.STILL_WRONG, "lowering: still wrong when every float is widened")

LOWERING, PRECISION = "lowering", "precision"
#: Outcomes of a program that ran to its end.
_ANSWERED = outcomes_with(Trait.ANSWERED)


def beside(
    record: Record, outputs: Sequence[Tensor], reference: Record, expected: Sequence[Tensor], precision: str
) -> Record:
    """A unit's record with `stage` and `against_reference`.

    `outputs` are the unit's answer, empty where it gave none, `expected` the reference executor's, `reference` its
    record of the same case and recipe. The difference is in units of the last place of `precision`.
    """
    apart = difference(outputs, expected, precision) if outputs and expected else None
    stage = stage_of(record, reference, apart)
    record = record.with_(stage=stage, against_reference=_summary(reference, apart))
    if stage not in (LOWERING, PRECISION):
        return record
    notes = [note for note in reference.notes if note in (RIGHT_WHEN_WIDENED, STILL_WRONG)]
    record = record.with_(notes=[*record.notes, *notes])
    if record.outcome is Outcome.OUT_OF_RANGE and reference.outcome is Outcome.WRONG_VALUE and STILL_WRONG in notes:
        outcome = Outcome.WRONG_VALUE  # as on the reference: it leaves the range because it is wrong
        return record.with_(outcome=outcome, error=ErrorInfo(str(outcome), record.reason, str(outcome)))
    return record


def stage_of(record: Record, reference: Record, apart: Difference | None) -> str:
    """`runtime`, `precision` or `lowering`; empty for what works, and where the reference executor cannot tell.

    `apart` is the difference of both answers, None where one of them gave none.
    """
    if record.outcome in WORKING:
        return ""
    if record.outcome is Outcome.NON_DETERMINISTIC or reference.outcome in WORKING:
        return RUNTIME
    if reference.outcome is Outcome.NOT_RUN:
        return ""
    if reference.load_rules and record.outcome in _ANSWERED:
        return ""  # it loads here, so the rule is wrong, and what it kept from being run is not known
    if reference.outcome in _ANSWERED and record.outcome not in _ANSWERED:
        return RUNTIME  # it fails with a program that runs
    if apart is not None and apart.kind and RIGHT_WHEN_WIDENED not in reference.notes:
        return RUNTIME  # wrong in a way of its own, which no rounding gives
    return PRECISION if RIGHT_WHEN_WIDENED in reference.notes else LOWERING


def _summary(reference: Record, apart: Difference | None) -> dict[str, Any]:
    summary: dict[str, Any] = {"outcome": str(reference.outcome)}
    if reference.outcome is Outcome.NOT_RUN:
        summary["reason"] = reference.reason
    if reference.load_rules:
        summary["load_rules"] = reference.load_rules
    if apart is None:
        return summary
    summary["equal"] = apart.equal
    if apart.kind:
        summary["differs"] = apart.kind
    elif not apart.equal:
        summary |= {"max_abs": _rounded(apart.max_abs), "max_ulp": _rounded(apart.max_ulp)}
    return summary


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")
