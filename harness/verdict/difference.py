"""Two answers to one question: how far they are apart, and which of two verdicts rules."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from harness.evidence.notes import Note, NoteCode
from harness.evidence.vocabulary import RANK, Outcome, Phase
from harness.verdict.compare import Verdict
from harness.verdict.tolerance import format_of


@dataclass(frozen=True)
class Difference:
    """How far an answer is from another one, over all outputs.

    `differing` elements of `elements` have other values; NaN equals NaN, and -0.0 equals 0.0. `max_abs` is the largest
    distance of two finite elements, `max_ulp` the same in units of the last place of the precision. `kind` says what
    cannot be measured so: another number of outputs, another shape or dtype, NaN or an infinity against a number.
    `output` is the first that differs.
    """

    differing: int = 0
    elements: int = 0
    max_abs: float = 0.0
    max_ulp: float = 0.0
    kind: str = ""
    output: int | None = None

    @property
    def equal(self) -> bool:
        return not self.differing and not self.kind

    def __str__(self) -> str:
        if self.kind:
            return self.kind
        if self.equal:
            return "the outputs are equal"
        count = f"{self.differing} of {self.elements} elements differ"
        return f"{count}, by {self.max_abs:.4g} at most, first in output {self.output}"


def difference(got: Sequence[Tensor], other: Sequence[Tensor], precision: str) -> Difference:
    """From `other` to `got`, tensors of any dtypes; `precision` (`fp16`, `fp32`) gives the unit of the last place."""
    f = format_of(precision)
    if len(got) != len(other):
        return Difference(kind=f"{len(got)} outputs against {len(other)}")
    total = Difference()
    for number, (one, two) in enumerate(zip(got, other, strict=True)):
        for what in ("shape", "dtype"):
            if (mine := getattr(one, what)) != (theirs := getattr(two, what)):
                mine, theirs = (list(mine), list(theirs)) if what == "shape" else (mine, theirs)
                text = f"output {number}: {what} {mine} against {theirs}".replace("torch.", "")
                return replace(total, kind=text, output=number)
        wide = torch.complex128 if one.is_complex() else torch.float64
        # Integers above 2^53 are compared as they are.
        unlike = (one != two) & ~((one != one) & (two != two))
        a, b = one.to(wide), two.to(wide)
        finite = torch.isfinite(a) & torch.isfinite(b)
        distance = torch.where(finite & unlike, (a - b).abs(), 0.0)
        strange = unlike & ~finite
        count = int(unlike.sum())
        kind = total.kind
        if bool(strange.any()) and not kind:
            at = tuple(int(i) for i in strange.nonzero()[0])
            where = f"output {number}{list(at) if at else ''}"
            kind = (
                f"{where}: {one[at].item()} against {two[at].item()} ({int(strange.sum())} of {one.numel()} elements)"
            )
        total = Difference(
            total.differing + count,
            total.elements + one.numel(),
            max(total.max_abs, float(distance.max()) if distance.numel() else 0.0),
            max(total.max_ulp, float((distance / f.ulp(b)).max()) if distance.numel() else 0.0),
            kind,
            number if count and total.output is None else total.output,
        )
    return total


def worse(first: Verdict, again: Verdict, apart: Difference) -> tuple[Verdict, bool]:
    """The verdict on a program that answered an equal question in two ways, and whether the second answer decided it.

    It is that of the worse answer; where both are within bounds, `non_deterministic`. `apart` is their difference;
    without one the first rules.
    """
    if apart.equal:  # other bits of the same values: the sign of a zero, the payload of a NaN
        return first, False
    differs = f"two equal predictions differ: {apart}"
    if first.outcome is again.outcome is Outcome.PASS:
        second = _headroom(again) < _headroom(first)
        numerics = (again if second else first).numerics
        reason = f"{differs}; each within bounds"
        return Verdict(Outcome.NON_DETERMINISTIC, Phase.VALUE, numerics, reason, first.notes), second
    if RANK[again.outcome] > RANK[first.outcome]:
        return replace(
            again,
            notes=[*again.notes, Note(NoteCode.NON_DETERMINISTIC, f"{differs}; judged by the second, which is worse")],
        ), True
    return replace(first, notes=[*first.notes, Note(NoteCode.NON_DETERMINISTIC, differs)]), False


def _headroom(verdict: Verdict) -> float:
    headroom = verdict.numerics.headroom if verdict.numerics is not None else None
    return math.inf if headroom is None else headroom
