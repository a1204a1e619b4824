"""Helpers shared by the families."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from harness.mil.context import Context
from harness.mil.types import Array


def channel_wise(parameter: Array, rank: int) -> Array:
    """A vector over channels shaped to broadcast along dimension 1 of a tensor of that rank."""
    return np.asarray(parameter).reshape((1, -1) + (1,) * (rank - 2))


def nan_through(context: Context, result: Any, *ignoring: Callable[[], Any]) -> Array:
    """`result` of a minimum, maximum, clamp or rectifier. NaN through these is undocumented: we propagate it and say
    so; `ignoring` are the results that instructions give which prefer a number."""
    array = np.asarray(result)  # numpy gives a scalar, not an array, for an operand of rank 0
    if array.dtype.kind == "f" and array.size and np.isnan(array.min()):
        return context.read("NaN through a minimum or maximum", array, *ignoring)
    return array


def normalize_axis(axis: int, rank: int) -> int:
    """`axis` in [0, rank); ValueError outside of [-rank, rank)."""
    if not -rank <= axis < rank:
        raise ValueError(f"axis {axis} is out of range for rank {rank}")
    return axis % rank
