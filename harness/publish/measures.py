"""Numbers of a record that a release may not make worse: a row each.

A row whose number is missing on one side says nothing, but for those that are always there where the other side has
them: see `Measure.always`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.evidence.numerics import headroom_of, number
from harness.evidence.record import Record
from harness.evidence.vocabulary import Phase

#: Parts of `Record.timing` that are lowering, not running.
LOWERING = frozenset({Phase.EXPORT, Phase.EDGE, Phase.PARTITION, Phase.CONVERT, Phase.PACKAGE, Phase.EMIT, "lower"})


@dataclass(frozen=True)
class Limits:
    """When a worse number counts: beyond `factor`, or by more than `by`; never while it is as good as `enough`."""

    factor: float | None = None
    by: float | None = None
    enough: float | None = None


@dataclass(frozen=True)
class Measure:
    """`name` is the class of change that its loss is; `value` reads it, None where a record has none.

    With `always`, a number that the baseline has and the candidate has not is itself a change for the worse.
    """

    name: str
    meaning: str
    value: Callable[[Record], float | None]
    more_is_better: bool
    before: str = ""
    after: str = ""
    always: bool = True

    def worse(self, before: float, after: float, limits: Limits) -> bool:
        if after != after or before != before:
            return after != after and before == before
        if not self.more_is_better:
            before, after = -before, -after
        if limits.enough is not None and after >= (limits.enough if self.more_is_better else -limits.enough):
            return False
        if limits.by is not None:
            return before - after > limits.by
        factor = limits.factor or 1.0
        return after * factor < before if self.more_is_better else after < before * factor

    def text(self, value: float | None) -> str:
        return "none" if value is None else f"{self.before}{number(value)}{self.after}"


def _sqnr(record: Record) -> float | None:
    return record.numerics.sqnr_db if record.numerics else None


def _error(record: Record) -> float | None:
    """Of a result inside its bound the headroom tells."""
    headroom = headroom_of(record)
    return record.numerics.max_abs if record.numerics and (headroom is None or headroom < 1) else None


def _size(record: Record) -> float | None:
    return record.size


def _parts(record: Record) -> float | None:
    return record.division.delegates + record.division.number_of_islands if record.division else None


def _lowering(record: Record) -> float | None:
    if record.lowering_s is not None:
        return record.lowering_s
    seconds = [value for part, value in record.timing.items() if part in LOWERING]
    return sum(seconds) if seconds else None


MEASURES: tuple[Measure, ...] = (
    Measure(
        "headroom_lost", "the error comes nearer to its bound", headroom_of, more_is_better=True, before="headroom x"
    ),
    Measure("sqnr_lost", "the signal-to-noise ratio falls", _sqnr, more_is_better=True, before="SQNR ", after=" dB"),
    Measure(
        "quantization_lost",
        "quantization costs more, against the module before it",
        lambda record: record.against_float.get("sqnr_db"),
        more_is_better=True,
        before="SQNR against float ",
        after=" dB",
    ),
    Measure(
        "larger_error",
        "the largest error grows, of a result without a headroom or outside its bound",
        _error,
        more_is_better=False,
        before="error ",
        always=False,
    ),
    Measure(
        "agreement_lost",
        "fewer rows of a model's scores have their largest element where the truth has it",
        lambda record: record.numerics.top1 if record.numerics else None,
        more_is_better=True,
        before="top-1 ",
    ),
    Measure(
        "more_parts",
        "a program falls apart into more delegates and islands",
        _parts,
        more_is_better=False,
        after=" parts",
        always=False,
    ),
    Measure("larger_package", "the packages grow", _size, more_is_better=False, after=" bytes"),
    Measure(
        "slower_lowering",
        "lowering takes longer, where both sides keep their times",
        _lowering,
        more_is_better=False,
        before="lowering ",
        after=" s",
        always=False,
    ),
)
