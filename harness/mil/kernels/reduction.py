"""Reductions. `x` of any shape; `axes` None reduces everything. fp16, fp32, int32; the result has the type of `x`.

Semantics: coremltools' documentation of `iOS15.reduction`, `iOS17.reduction`. Of no elements it says nothing: the
result is the identity of the operation (sum 0, maximum the smallest number), which we note.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from harness.mil.context import UNDOCUMENTED, Context
from harness.mil.kernels._common import nan_through
from harness.mil.registry import Ints, kernel
from harness.mil.types import INT32, Array, numpy_dtype


def _axes(context: Context, axes: Ints | None, x: Array) -> Ints:
    over = tuple(range(x.ndim)) if axes is None else axes
    if _count(x, over) == 0:
        context.note(UNDOCUMENTED, "reduction of no elements")
    return over


def _count(x: Array, axes: Ints) -> int:
    return int(np.prod([x.shape[a] for a in axes], dtype=np.int64))


def _limit(x: Array, sign: int) -> Any:
    """The largest (sign 1) or smallest (-1) number of the type of `x`."""
    info = np.iinfo(x.dtype) if x.dtype.kind != "f" else None
    return sign * np.inf if info is None else info.max if sign > 0 else info.min


@kernel("reduce_sum")
def reduce_sum(context: Context, x: Array, axes: Ints | None = None, keep_dims: bool = False) -> Array:
    """Sum over `axes`."""
    return context.accumulate(x, _axes(context, axes, x), keep_dims)


@kernel("reduce_mean")
def reduce_mean(context: Context, x: Array, axes: Ints | None = None, keep_dims: bool = False) -> Array:
    """Arithmetic mean; how that of integers is rounded is undocumented: towards zero here."""
    over = _axes(context, axes, x)
    if x.dtype.kind != "f":
        mean = np.sum(x, axis=over, keepdims=keep_dims, dtype=np.float64) / max(_count(x, over), 1)
        whole = np.trunc(mean).astype(x.dtype)
        if bool((whole == mean).all()):
            return whole
        return context.read("mean of integers", whole, lambda: np.floor(mean), lambda: np.rint(mean))
    return context.accumulate(x, over, keep_dims) / x.dtype.type(_count(x, over))


def _extremum(function: Callable[..., Any], x: Array, over: Ints, keep_dims: bool, sign: int) -> Array:
    """Of the numbers alone; of nothing but NaN the identity."""
    limit = _limit(x, sign)
    return np.asarray(function(np.where(np.isnan(x), limit, x), axis=over, keepdims=keep_dims, initial=limit))


@kernel("reduce_max")
def reduce_max(context: Context, x: Array, axes: Ints | None = None, keep_dims: bool = False) -> Array:
    """Largest element; NaN is propagated (undocumented)."""
    over = _axes(context, axes, x)
    result = np.max(x, axis=over, keepdims=keep_dims, initial=_limit(x, -1))
    return nan_through(context, result, lambda: _extremum(np.max, x, over, keep_dims, -1))


@kernel("reduce_min")
def reduce_min(context: Context, x: Array, axes: Ints | None = None, keep_dims: bool = False) -> Array:
    """Smallest element; NaN is propagated (undocumented)."""
    over = _axes(context, axes, x)
    result = np.min(x, axis=over, keepdims=keep_dims, initial=_limit(x, 1))
    return nan_through(context, result, lambda: _extremum(np.min, x, over, keep_dims, 1))


@kernel("reduce_prod")
def reduce_prod(context: Context, x: Array, axes: Ints | None = None, keep_dims: bool = False) -> Array:
    """Product."""
    return np.prod(x, axis=_axes(context, axes, x), keepdims=keep_dims, dtype=x.dtype)


@kernel("reduce_l1_norm")
def reduce_l1_norm(context: Context, x: Array, axes: Ints | None = None, keep_dims: bool = False) -> Array:
    """Sum of absolute values."""
    return context.accumulate(np.abs(x), _axes(context, axes, x), keep_dims)


@kernel("reduce_l2_norm")
def reduce_l2_norm(context: Context, x: Array, axes: Ints | None = None, keep_dims: bool = False) -> Array:
    """Square root of the sum of squares."""
    return np.sqrt(context.accumulate(np.square(x), _axes(context, axes, x), keep_dims))


@kernel("reduce_sum_square")
def reduce_sum_square(context: Context, x: Array, axes: Ints | None = None, keep_dims: bool = False) -> Array:
    """Sum of squares."""
    return context.accumulate(np.square(x), _axes(context, axes, x), keep_dims)


@kernel("reduce_log_sum")
def reduce_log_sum(context: Context, x: Array, axes: Ints | None = None, keep_dims: bool = False) -> Array:
    """Natural logarithm of the sum."""
    return np.log(context.accumulate(x, _axes(context, axes, x), keep_dims))


@kernel("reduce_log_sum_exp")
def reduce_log_sum_exp(context: Context, x: Array, axes: Ints | None = None, keep_dims: bool = False) -> Array:
    """log(sum(e^x)), computed after subtracting the maximum, so that it does not overflow when its value does not."""
    over = _axes(context, axes, x)
    peak = np.max(x, axis=over, keepdims=True, initial=_limit(x, -1))
    peak = np.where(np.isfinite(peak), peak, np.zeros((), x.dtype))
    result = np.log(context.accumulate(np.exp(x - peak), over, keep_dims=True)) + peak
    return result if keep_dims else np.squeeze(result, axis=over)


def _index(context: Context, x: Array, axis: int, keep_dims: bool, dtype: str, largest: bool) -> Array:
    among = np.argmax if largest else np.argmin
    found = among(x, axis=axis, keepdims=keep_dims)
    index = np.asarray(found).astype(numpy_dtype(dtype) if dtype else INT32)

    def last() -> Array:
        return x.shape[axis] - 1 - np.asarray(among(np.flip(x, axis), axis=axis, keepdims=keep_dims))

    if x.dtype.kind == "f" and np.isnan(x).any():
        worst = -np.inf if largest else np.inf
        numbers = np.where(np.isnan(x), worst, x)
        return context.read("index of the extremum among NaN", index, lambda: among(numbers, axis, keepdims=keep_dims))
    if ((x == np.take_along_axis(x, found if keep_dims else np.expand_dims(found, axis), axis)).sum(axis) > 1).any():
        return context.read("index of the extremum among equals", index, last)
    return index


@kernel("reduce_argmax", raw=True)
def reduce_argmax(
    context: Context, x: Array, axis: int = -1, keep_dims: bool = False, output_dtype: str = "int32"
) -> Array:
    """Index of the largest element along `axis`; of equals, where the documentation promises none, the first, which we
    note. int32, or uint16 by `output_dtype` (iOS17)."""
    return _index(context, x, axis, keep_dims, output_dtype, largest=True)


@kernel("reduce_argmin", raw=True)
def reduce_argmin(
    context: Context, x: Array, axis: int = -1, keep_dims: bool = False, output_dtype: str = "int32"
) -> Array:
    """Index of the smallest element along `axis`; of equals, where the documentation promises none, the first, which we
    note. int32, or uint16 by `output_dtype` (iOS17)."""
    return _index(context, x, axis, keep_dims, output_dtype, largest=False)
