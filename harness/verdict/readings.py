"""Results under every plausible reading of semantics that no documentation settles.

Element by element the answer nearest to the truth is taken: what is wrong even so is wrong whatever Core ML does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def nearest(
    first: Sequence[Tensor],
    others: Sequence[Sequence[Tensor]],
    filled: Sequence[Sequence[Tensor]],
    right: Sequence[Tensor],
) -> list[Tensor]:
    """The result most in favour of the program. `others` are its results by other readings; `filled` are those with
    something arbitrary where no reading is known: an element that differs there may be anything, and counts as `right`.

    All are lists of the same number of tensors. One of another shape than `first` has is left out.
    """
    found = []
    for i, (mine, truth) in enumerate(zip(first, right, strict=True)):
        best = mine.clone()
        if mine.shape != truth.shape:
            found.append(best)
            continue
        distance = _distance(best, truth)
        for result in others:
            other = result[i]
            if other.shape == mine.shape:
                closer = _distance(other, truth) < distance
                best = torch.where(closer, other.to(best.dtype), best)
                distance = torch.where(closer, _distance(other, truth), distance)
        for result in filled:
            other = result[i]
            open_to_anything = (
                ~_same(other, mine) if other.shape == mine.shape else torch.ones(mine.shape, dtype=torch.bool)
            )
            best = torch.where(open_to_anything, truth.to(best.dtype), best)
        found.append(best)
    return found


def _distance(a: Tensor, truth: Tensor) -> Tensor:
    wide = torch.complex128 if a.is_complex() or truth.is_complex() else torch.float64
    apart = (a.to(wide) - truth.to(wide)).abs()
    return torch.where(_same(a.to(wide), truth.to(wide)), 0.0, torch.nan_to_num(apart, nan=math.inf))


def _same(a: Tensor, b: Tensor) -> Tensor:
    return (a == b) | (a.isnan() & b.isnan())
