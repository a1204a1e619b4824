"""Conversions between floating-point types, by the fastest way that rounds to nearest, ties to even."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from harness.mil.types import FLOAT16, FLOAT32, Array

_TORCH = {FLOAT16: torch.float16, FLOAT32: torch.float32}
_SMALL = 256  # below this many elements the detour through torch costs more than it saves


def as_torch(x: Array) -> torch.Tensor:
    """The array as a tensor, without a copy where its memory allows it (writable, no negative strides)."""
    if not x.flags.writeable or any(s < 0 for s in x.strides) or not x.dtype.isnative:
        x = x.copy()
    return torch.from_numpy(x)


def cast(x: Array, dtype: np.dtype[Any]) -> Array:
    """`x.astype(dtype, copy=False)`. numpy converts fp16 one element at a time, and denormals slower still; torch uses
    the vector instructions."""
    if x.dtype == dtype:
        return x
    if x.size > _SMALL and x.dtype in _TORCH and dtype in _TORCH:
        return as_torch(x).to(_TORCH[dtype]).numpy()
    return x.astype(dtype)
