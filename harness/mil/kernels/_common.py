"""Helpers shared by the families."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.mil.context import UNDOCUMENTED, Context
from harness.mil.types import Array


def channel_wise(parameter: Array, rank: int) -> Array:
    """A vector over channels shaped to broadcast along dimension 1 of a tensor of that rank."""
    return np.asarray(parameter).reshape((1, -1) + (1,) * (rank - 2))


def note_nan(context: Context, result: Any) -> None:
    """NaN through minimum, maximum, clamps and rectifiers is undocumented: we propagate it and say so."""
    array = np.asarray(result)  # numpy gives a scalar, not an array, for an operand of rank 0
    if array.dtype.kind == "f" and array.size and np.isnan(array.min()):
        context.note(UNDOCUMENTED, "NaN through a minimum or maximum")


def normalize_axis(axis: int, rank: int) -> int:
    """`axis` in [0, rank); ValueError outside of [-rank, rank)."""
    if not -rank <= axis < rank:
        raise ValueError(f"axis {axis} is out of range for rank {rank}")
    return axis % rank
