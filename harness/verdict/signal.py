"""Whole models too large to be run again for bounds: judged by their signal-to-noise ratio.

By output, and by columns of its last dimension of comparable magnitude, so that small scores do not hide beside large
coordinates. Special values come first: they count in no ratio.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.evidence.notes import Note, NoteCode
from harness.evidence.vocabulary import Outcome
from harness.verdict.oracle import Truth
from harness.verdict.tolerance import SQNR_FLOOR_DB, SQNR_MARGIN_DB, SQNR_THRESHOLD_DB, Format, sqnr

#: Columns shorter than this are judged with the whole output: the ratio of a few elements is chance.
_LONG_ENOUGH = 16


@dataclass(frozen=True)
class Signal:
    """What is found of one output: its ratio in dB, the outcome, and the reason of one that is no pass."""

    db: float
    outcome: Outcome = Outcome.PASS
    reason: str = ""
    notes: tuple[Note, ...] = ()


def judge_output(i: int, got: Tensor, right: Tensor, eager: Tensor | None, f: Format) -> Signal:
    """Output number `i`, floating, against the truth; `eager` is what PyTorch gives in the precision, None where it
    does not run in it."""
    got = got.to(right.dtype)
    special = ~torch.isfinite(right)
    same = (got == right) | (got.isnan() & right.isnan())
    if bool((special & ~same).any()):
        return Signal(math.nan, Outcome.WRONG_VALUE, _element(i, special & ~same, got, right))
    lost = ~special & ~torch.isfinite(got)
    if bool(lost.any()):
        return Signal(math.nan, Outcome.OUT_OF_RANGE, _element(i, lost, got, right))
    # Below the smallest normal a program may give 0, and nothing is precise: neither signal nor noise.
    left_out = special | ((right.abs() < f.smallest_normal) & (got.abs() <= f.smallest_normal))
    value, plain = torch.where(left_out, 0, got), torch.where(left_out, 0, right)
    reached = None if eager is None else torch.where(left_out, 0, eager.to(right.dtype))
    db = sqnr(value, plain)
    asked, note = _threshold(i, db, plain, reached, f)
    notes = (note,) if note is not None else ()
    if db < asked:
        error = (value - plain).abs()
        rms = float(error.square().mean().sqrt())
        reason = (
            f"output {i}: SQNR {db:.1f} dB, below {asked:.0f} dB for {f.name} "
            f"(max error {float(error.max()):.4g}, rms {rms:.4g})"
        )
        return Signal(db, Outcome.WRONG_VALUE, reason, notes)
    for columns in _columns_alike(plain):
        part, part_right = value[..., columns], plain[..., columns]
        part_db = sqnr(part, part_right)
        part_asked, _ = _threshold(i, part_db, part_right, None if reached is None else reached[..., columns], f)
        if part_db < part_asked:
            first = int(columns.nonzero()[0])
            reason = (
                f"output {i}[..., {first}]: SQNR {part_db:.1f} dB, below {part_asked:.0f} dB for {f.name}, in "
                f"{int(columns.sum())} of {len(columns)} columns of like magnitude; {db:.1f} dB of the whole output"
            )
            return Signal(db, Outcome.WRONG_VALUE, reason, notes)
    return Signal(db, notes=notes)


def cost(quantized: Mapping[str, Sequence[Truth]], plain: Mapping[str, Sequence[Truth]]) -> float | None:
    """What quantization costs: the ratio in dB of the worst floating output, over all methods and calls, of the module
    quantized against the module before; infinite where they are equal, None where they cannot be compared."""
    pairs = [
        (got, right)
        for name, truths in plain.items()
        for one, other in zip(quantized[name], truths, strict=True)
        for got, right in zip(one.outputs, other.outputs, strict=False)
        if right.is_floating_point() and got.shape == right.shape
    ]
    found = [sqnr(got.to(right.dtype), right) for got, right in pairs]
    ratios = [db for db in found if not math.isnan(db)]
    return min(ratios, default=None)


def _threshold(i: int, db: float, right: Tensor, eager: Tensor | None, f: Format) -> tuple[float, Note | None]:
    """The ratio to reach, and the note where it is less than the plain one: what eager reaches in the precision, less a
    margin, and never below the floor. Eager is asked only where the plain one is missed."""
    plainly, floor = SQNR_THRESHOLD_DB[f.name], SQNR_FLOOR_DB[f.name]
    if db >= plainly or eager is None:
        return plainly, None
    reached = sqnr(eager, right)
    if math.isnan(reached) or reached - SQNR_MARGIN_DB >= plainly:
        return plainly, None
    asked = max(reached - SQNR_MARGIN_DB, floor)
    text = f"output {i}: {asked:.1f} dB asked for instead of {plainly:.0f}: eager in {f.name} reaches {reached:.1f}"
    return asked, Note(NoteCode.THRESHOLD_LOWERED, text)


def _columns_alike(right: Tensor) -> Iterator[Tensor]:
    """Masks over the last dimension: columns whose root mean square has the same power of ten. None where all have."""
    if right.dim() < 2 or not right.shape[-1] or right[..., 0].numel() < _LONG_ENOUGH:
        return
    size = right.abs().square().flatten(0, -2).mean(0).sqrt()
    decade = torch.where(size > 0, size, 1.0).log10().floor()
    groups = decade[size > 0].unique()
    if len(groups) > 1:
        for one in groups:
            yield (decade == one) & (size > 0)


def _element(i: int, wrong: Tensor, got: Tensor, right: Tensor) -> str:
    at = tuple(int(k) for k in wrong.nonzero()[0]) if wrong.dim() else ()
    place = f"output {i}[{', '.join(map(str, at))}]"
    return f"{place}: got {got[at].item()}, expected {right[at].item():.6g} ({int(wrong.sum())} of {wrong.numel()})"
