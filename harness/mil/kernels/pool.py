"""Pooling over windows of one to three spatial dimensions. `x` [n, C, *D], fp16, fp32.

Semantics: coremltools' documentation of `iOS15.pool`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F

from harness.mil.casting import as_torch
from harness.mil.context import STRICT, Context
from harness.mil.kernels._common import nan_through
from harness.mil.kernels.conv import spatial_padding, zero_padded
from harness.mil.registry import Ints, kernel
from harness.mil.types import FLOAT16, Array

_AVERAGE = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}
_MAXIMUM = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}


def _layout(
    x: Array, kernel_sizes: Ints, strides: Ints, pad_type: str, pad: Ints | None, ceil_mode: bool
) -> tuple[list[tuple[int, int]], list[int]]:
    """Declared padding, and how many elements more the last windows of ceil mode reach over it, by dimension.

    In ceil mode the output has ceil((D + padding - K) / stride) + 1 elements, less one when there is padding and the
    last window would start at or after D + the padding before it."""
    sizes = x.shape[2:]
    # Padding is ignored unless it is custom.
    padding = spatial_padding(pad_type, pad, sizes, kernel_sizes, strides, (1,) * len(sizes))
    extra = []
    for size, k, stride, (before, after) in zip(sizes, kernel_sizes, strides, padding, strict=True):
        span = size + before + after - k
        count = (-(-span // stride) if ceil_mode else span // stride) + 1
        if ceil_mode and before + after > 0 and (count - 1) * stride >= size + before:
            count -= 1
        extra.append(max((count - 1) * stride - span, 0))
    return padding, extra


def _slide(function: Callable[..., torch.Tensor], x: Array, kernel_sizes: Ints, strides: Ints) -> Array:
    """A pooling function of torch, which refuses zero channels but not a batch of zero."""
    if x.size:
        return function(as_torch(x), kernel_sizes, strides).numpy()
    result = function(as_torch(x.reshape(0, 1, *x.shape[2:])), kernel_sizes, strides).numpy()
    return result.reshape(*x.shape[:2], *result.shape[2:])


def _window_sum(context: Context, x: Array, kernel_sizes: Ints, strides: Ints) -> Array:
    rank = len(kernel_sizes)
    if context.mode == STRICT and x.dtype == FLOAT16:
        windows = np.lib.stride_tricks.sliding_window_view(x, kernel_sizes, tuple(range(2, 2 + rank)))
        windows = windows[(slice(None), slice(None), *(slice(None, None, s) for s in strides))]
        return context.accumulate(windows, tuple(range(2 + rank, 2 + 2 * rank)))
    return _slide(_AVERAGE[rank], x, kernel_sizes, strides) * x.dtype.type(np.prod(kernel_sizes))


@kernel("avg_pool")
def avg_pool(
    context: Context,
    x: Array,
    kernel_sizes: Ints,
    pad_type: str,
    strides: Ints | None = None,
    pad: Ints | None = None,
    exclude_padding_from_average: bool = False,
    ceil_mode: bool = False,
) -> Array:
    """Mean over each window. Padding counts as zeros, or not at all with `exclude_padding_from_average`; what ceil mode
    adds beyond the padding never counts, as in PyTorch."""
    strides = strides or (1,) * len(kernel_sizes)
    padding, extra = _layout(x, kernel_sizes, strides, pad_type, pad, ceil_mode)
    around = [(before, after + more) for (before, after), more in zip(padding, extra, strict=True)]
    total = _window_sum(context, zero_padded(x, around), kernel_sizes, strides)
    counted = np.ones((1, 1, *x.shape[2:]))
    counted = zero_padded(counted, padding, value=0.0 if exclude_padding_from_average else 1.0)
    counted = zero_padded(counted, [(0, more) for more in extra])
    counts = np.rint(_window_sum(context, counted, kernel_sizes, strides))
    return total / counts.astype(total.dtype)


@kernel("l2_pool")
def l2_pool(
    context: Context,
    x: Array,
    kernel_sizes: Ints,
    pad_type: str,
    strides: Ints | None = None,
    pad: Ints | None = None,
    ceil_mode: bool = False,
) -> Array:
    """Square root of the sum of squares of each window. The formula is not in the documentation; it is that of
    Core ML's neural network layer of the same name."""
    strides = strides or (1,) * len(kernel_sizes)
    padding, extra = _layout(x, kernel_sizes, strides, pad_type, pad, ceil_mode)
    around = [(before, after + more) for (before, after), more in zip(padding, extra, strict=True)]
    return np.sqrt(_window_sum(context, zero_padded(np.square(x), around), kernel_sizes, strides))


@kernel("max_pool")
def max_pool(
    context: Context,
    x: Array,
    kernel_sizes: Ints,
    pad_type: str,
    strides: Ints | None = None,
    pad: Ints | None = None,
    ceil_mode: bool = False,
) -> Array:
    """Largest element of each window; padding never wins."""
    strides = strides or (1,) * len(kernel_sizes)
    padding, extra = _layout(x, kernel_sizes, strides, pad_type, pad, ceil_mode)
    around = [(before, after + more) for (before, after), more in zip(padding, extra, strict=True)]
    padded = zero_padded(x, around, value=-np.inf)
    result = _slide(_MAXIMUM[len(kernel_sizes)], padded, kernel_sizes, strides)

    def ignoring() -> Array:
        numbers = np.where(np.isnan(padded), -np.inf, padded)
        return _slide(_MAXIMUM[len(kernel_sizes)], numbers, kernel_sizes, strides)

    return nan_through(context, result, ignoring)
