"""Normalisation. fp16, fp32; the result has the shape and type of `x`.

Semantics: coremltools' documentation of `iOS15.normalization`, `iOS17.normalization` (from where on the parameters may
have another float type than `x`).
"""

from __future__ import annotations

import numpy as np

from harness.mil.context import UNDOCUMENTED, Context
from harness.mil.kernels._common import channel_wise
from harness.mil.registry import Ints, kernel
from harness.mil.types import Array


def _standardized(context: Context, x: Array, axes: Ints, epsilon: float) -> Array:
    """(x - mean) / sqrt(variance + epsilon) over `axes`, with the population variance."""
    count = x.dtype.type(np.prod([x.shape[a] for a in axes], dtype=np.int64))
    centred = x - context.accumulate(x, axes, keep_dims=True) / count
    variance = context.accumulate(np.square(centred), axes, keep_dims=True) / count
    return centred / np.sqrt(variance + epsilon)


@kernel("batch_norm")
def batch_norm(
    context: Context,
    x: Array,
    mean: Array,
    variance: Array,
    gamma: Array | None = None,
    beta: Array | None = None,
    epsilon: float | None = None,
) -> Array:
    """gamma (x - mean) / sqrt(variance + epsilon) + beta by channel. `x` [n, C, *D], the parameters [C];
    epsilon 1e-5."""
    rank, eps = x.ndim, context.constant(1e-5, epsilon)
    result = (x - channel_wise(mean, rank)) / np.sqrt(channel_wise(variance, rank) + eps)
    if gamma is not None:
        result = result * channel_wise(gamma, rank)
    return result if beta is None else result + channel_wise(beta, rank)


@kernel("instance_norm")
def instance_norm(
    context: Context, x: Array, gamma: Array | None = None, beta: Array | None = None, epsilon: float | None = None
) -> Array:
    """Each image and channel of `x` [n, C, *D] standardised over its spatial dimensions, then scaled by gamma [C] and
    shifted by beta [C]; epsilon 1e-5."""
    result = _standardized(context, x, tuple(range(2, x.ndim)), context.constant(1e-5, epsilon))
    if gamma is not None:
        result = result * channel_wise(gamma, x.ndim)
    return result if beta is None else result + channel_wise(beta, x.ndim)


@kernel("layer_norm")
def layer_norm(
    context: Context,
    x: Array,
    axes: Ints | None = None,
    gamma: Array | None = None,
    beta: Array | None = None,
    epsilon: float | None = None,
) -> Array:
    """`x` standardised over `axes` (all by default), then scaled and shifted; gamma and beta have the sizes of `x` at
    those axes, in the order of the dimensions; epsilon 1e-5."""
    over = tuple(range(x.ndim)) if axes is None else tuple(a % x.ndim for a in axes)
    result = _standardized(context, x, over, context.constant(1e-5, epsilon))
    shape = [s if i in over else 1 for i, s in enumerate(x.shape)]
    if gamma is not None:
        result = result * np.reshape(gamma, shape)
    return result if beta is None else result + np.reshape(beta, shape)


@kernel("l2_norm")
def l2_norm(context: Context, x: Array, epsilon: float | None = None) -> Array:
    """x / sqrt(sum of x^2 over the last three dimensions + epsilon); epsilon 1e-6."""
    if x.ndim < 3:
        raise ValueError(f"rank 3 or more is needed, not {x.ndim}")
    total = context.accumulate(np.square(x), (-3, -2, -1), keep_dims=True)
    return x / np.sqrt(total + context.constant(1e-6, epsilon))


@kernel("local_response_norm")
def local_response_norm(
    context: Context, x: Array, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Array:
    """x / (k + alpha / size * sum of x^2 over `size` neighbouring channels)^beta. `x` [n, C, *D]. The window
    of an even size is not documented; as in PyTorch it has one channel more before than after, which we note."""
    if size % 2 == 0:
        context.note(UNDOCUMENTED, "local_response_norm over an even number of channels")
    before, after = size // 2, (size - 1) // 2
    padded = np.pad(np.square(x), [(0, 0), (before, after)] + [(0, 0)] * (x.ndim - 2))
    windows = np.lib.stride_tricks.sliding_window_view(padded, size, 1)
    total = context.accumulate(windows, (-1,))
    return x / np.power(k + alpha / size * total, beta)
