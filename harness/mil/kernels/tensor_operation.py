"""Operators that make, order, fill and search tensors.

Semantics: coremltools' documentation of `iOS15`, `iOS16`, `iOS17` `tensor_operation`.
"""

from __future__ import annotations

import numpy as np

from harness.mil.context import UNDOCUMENTED, Context
from harness.mil.kernels._common import normalize_axis
from harness.mil.registry import Ints, kernel
from harness.mil.types import FLOAT32, INT32, Array, numpy_dtype

_PAD_MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge"}


@kernel("band_part", raw=True)
def band_part(context: Context, x: Array, lower: int = -1, upper: int = -1) -> Array:
    """The innermost matrices with zeros outside of a band of `lower` and `upper` diagonals; negative keeps all. `x`
    [..., m, n], fp16, fp32, int32, bool."""
    rows, columns = np.arange(x.shape[-2])[:, None], np.arange(x.shape[-1])[None, :]
    keep = ((lower < 0) | (rows - columns <= lower)) & ((upper < 0) | (columns - rows <= upper))
    return np.where(keep, x, np.zeros((), x.dtype))


@kernel("cumsum")
def cumsum(context: Context, x: Array, axis: int = 0, exclusive: bool = False, reverse: bool = False) -> Array:
    """Running sum along `axis`; exclusive sums start with 0 and leave out the element itself. fp16, fp32, int32."""
    axis = normalize_axis(axis, x.ndim)
    data = np.flip(x, axis) if reverse else x
    total = np.cumsum(data, axis, dtype=x.dtype)
    if exclusive:
        before = (slice(None),) * axis
        sums, total = total, np.zeros_like(total)
        total[(*before, slice(1, None))] = sums[(*before, slice(None, -1))]
    return np.flip(total, axis) if reverse else total


@kernel("fill", raw=True)
def fill(context: Context, shape: Ints, value: Array | None = None) -> Array:
    """A tensor of `shape` full of `value` (fp32 zero by default)."""
    content = np.zeros((), context.stored(FLOAT32)) if value is None else np.asarray(value)
    return np.full(shape, content, content.dtype)


@kernel("fill_like", raw=True)
def fill_like(context: Context, ref_tensor: Array, value: Array | None = None) -> Array:
    """`fill` with the shape of `ref_tensor` (iOS16); the type is that of `value`: fp16, fp32 (default), int32, bool."""
    return fill(context, ref_tensor.shape, value)


@kernel("non_zero", raw=True)
def non_zero(context: Context, x: Array) -> Array:
    """Indices of the elements that are not 0, in row-major order: int32 [N, rank]."""
    if x.ndim == 0 or x.size == 0:
        context.note(UNDOCUMENTED, "non_zero of a scalar or an empty tensor")
    return np.argwhere(x).astype(INT32)


@kernel("one_hot", raw=True)
def one_hot(
    context: Context,
    indices: Array,
    one_hot_vector_size: int,
    axis: int = -1,
    on_value: Array | None = None,
    off_value: Array | None = None,
) -> Array:
    """A new dimension `axis` of the given size with `on_value` (int32 1) at the index, `off_value` (0) elsewhere. Any
    type by `on_value`. What an index out of range gives is undocumented: no `on_value`."""
    on = np.asarray(np.int32(1) if on_value is None else on_value)
    off = np.asarray(np.zeros((), on.dtype) if off_value is None else off_value)
    if indices.size and not 0 <= indices.min() <= indices.max() < one_hot_vector_size:
        context.note(UNDOCUMENTED, "one_hot of an index out of range")
    axis = normalize_axis(axis, indices.ndim + 1)
    places = np.arange(one_hot_vector_size).reshape((-1,) + (1,) * (indices.ndim - axis))
    return np.where(np.expand_dims(indices, axis) == places, on.reshape(()), off.reshape(()))


@kernel("pad", raw=True)
def pad(context: Context, x: Array, pad: Ints, mode: str = "constant", constant_val: Array | None = None) -> Array:
    """`x` of any shape and any type, its last N = len(pad) / 2 dimensions with pad[2i] elements before and pad[2i + 1]
    after; `reflect` does not repeat the edge, `replicate` repeats nothing but the edge. Reflecting more than D - 1 is
    undocumented."""
    if len(pad) % 2 or len(pad) // 2 > x.ndim:
        raise ValueError(f"{len(pad)} paddings for rank {x.ndim}")
    if mode not in _PAD_MODES:
        raise ValueError(f"unknown mode {mode!r}")
    widths = [(0, 0)] * (x.ndim - len(pad) // 2) + list(zip(pad[::2], pad[1::2], strict=True))
    if mode == "constant":
        value = 0 if constant_val is None else constant_val
        return np.pad(x, widths, constant_values=np.asarray(value).astype(x.dtype).item())
    if mode == "reflect" and any(max(w) > s - 1 for w, s in zip(widths, x.shape, strict=True) if max(w)):
        context.note(UNDOCUMENTED, "reflection of more than the size less one")
    return np.pad(x, widths, mode=_PAD_MODES[mode])  # type: ignore[call-overload, no-any-return]


@kernel("range_1d", same=("start", "end", "step"))
def range_1d(context: Context, start: Array, end: Array, step: Array) -> Array:
    """start, start + step, ... up to `end`, exclusive: ceil((end - start) / step) elements. int32, fp16, fp32."""
    count = max(int(np.ceil((end.astype(np.float64) - start) / step)), 0)
    return start + np.arange(count).astype(start.dtype) * step


def _order(context: Context, x: Array, axis: int, ascending: bool) -> Array:
    """Indices that sort `x`, equal elements in their order (undocumented); NaN as the largest value."""
    if x.dtype.kind == "f" and np.isnan(x).any():
        numbers = np.where(np.isnan(x), -np.inf, x)
        order = _sorted(x, axis, ascending)
        return context.read("order of NaN", order, lambda: _sorted(numbers, axis, ascending))
    return _sorted(x, axis, ascending)


def _sorted(x: Array, axis: int, ascending: bool) -> Array:
    """Indices that sort `x`, equal elements in their order; NaN as the largest value."""
    if ascending:
        return np.argsort(x, axis, kind="stable")
    # Sorting backwards and reading backwards keeps the order of equals.
    backwards = np.argsort(np.flip(x, axis), axis, kind="stable")
    return x.shape[axis] - 1 - np.flip(backwards, axis)


def _with_ties(context: Context, x: Array, order: Array, seen: int, axis: int, ascending: bool) -> Array:
    """`order`, where elements among the first `seen` are equal by this run's reading: in their order, or the last
    first."""
    ordered = np.take_along_axis(x, order.take(range(seen), axis), axis)
    values = np.moveaxis(ordered, axis, -1)
    if values.shape[-1] < 2 or not (values[..., 1:] == values[..., :-1]).any():
        return order

    def last_first() -> Array:
        return x.shape[axis] - 1 - _sorted(np.flip(x, axis), axis, ascending)

    return context.read("order of equal elements", order, last_first)


@kernel("argsort", raw=True)
def argsort(context: Context, x: Array, axis: int = -1, ascending: bool = False, output_dtype: str = "int32") -> Array:
    """Indices that sort `x` along `axis`, descending by default; int32 (or `output_dtype`). Of a scalar, which has no
    axis, it is 0 (undocumented)."""
    if x.ndim == 0:
        context.note(UNDOCUMENTED, "argsort of a scalar")
        return np.zeros((), numpy_dtype(output_dtype))
    order = _order(context, x, axis, ascending)
    order = _with_ties(context, x, order, x.shape[axis], axis, ascending)
    return order.astype(numpy_dtype(output_dtype))


@kernel("topk", raw=True)
def topk(
    context: Context,
    x: Array,
    k: int = 1,
    axis: int = -1,
    ascending: bool = False,
    sort: bool = True,
    return_indices: bool = True,
    output_indices_dtype: str = "int32",
) -> list[Array] | Array:
    """The `k` largest (or with `ascending` smallest) elements along `axis`, sorted, and their indices; all for k = -1.
    `x` of any shape, fp16, fp32, int32 (from iOS17 on (u)int8 and (u)int16); indices int32, or another type by
    `output_indices_dtype`. Without `sort` any order is right: we sort all the same and say so."""
    axis = normalize_axis(axis, x.ndim)
    count = x.shape[axis] if k == -1 else k
    if count > x.shape[axis]:
        raise ValueError(f"k = {k} of a dimension of {x.shape[axis]}")
    order = _order(context, x, axis, ascending)
    order = _with_ties(context, x, order, min(count + 1, x.shape[axis]), axis, ascending)
    if not sort and count > 1:
        context.note(UNDOCUMENTED, "order of an unsorted topk")
    order = order.take(range(count), axis)
    values = np.take_along_axis(x, order, axis)
    return [values, order.astype(numpy_dtype(output_indices_dtype))] if return_indices else values


@kernel("shape", raw=True)
def shape(context: Context, x: Array, output_dtype: str = "int32") -> Array:
    """The shape of `x` as a vector; int32, or (u)int16 by `output_dtype`."""
    return np.array(x.shape, numpy_dtype(output_dtype))
