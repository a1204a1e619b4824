"""Calls that a program has to refuse: shapes that it was not lowered for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.cases.case import Arguments
from harness.evidence.record import ErrorInfo, Record
from harness.evidence.vocabulary import WORKING, Outcome, Phase


def after_refusals(record: Record, refused: Sequence[Arguments], answered: Sequence[int]) -> Record:
    """The record of a program, right in its other calls, that answered some of those it had to refuse, by their
    numbers; itself where it answered none, and where something else is wrong with it."""
    if not answered or record.outcome not in WORKING:
        return record
    shapes = "; ".join(f"refused[{number}] {_shapes(refused[number].leaves)}" for number in answered)
    reason = f"answers {len(answered)} of {len(refused)} calls that it has to refuse: {shapes}"
    outcome = Outcome.NOT_REFUSED
    return record.with_(
        outcome=outcome, phase=Phase.RUN, reason=reason, error=ErrorInfo(str(outcome), reason, str(outcome))
    )


def _shapes(leaves: Sequence[Any]) -> str:
    """`[2, 16], [5, 11]`: the tensors' shapes."""
    return ", ".join(str(list(leaf.shape)) for leaf in leaves if hasattr(leaf, "shape"))
