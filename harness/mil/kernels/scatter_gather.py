"""Reading from and writing to places given by indices. Any data type for the data, integers for the indices.

Semantics: coremltools' documentation of `iOS15`, `iOS16`, `iOS17` `scatter_gather`. Up to iOS16 an index in [-D, 0)
counts from the end. From iOS17 on a negative index is out of range, an out-of-range index is an error when
`validate_indices` is true and undefined (but memory safe) otherwise; then we wrap a negative index once and clamp what
is left, and note it. The order in which duplicate indices are written is undocumented: we write in order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from harness.mil.context import DUPLICATE_INDEX, INDEX_OUT_OF_RANGE, UNDOCUMENTED, Context
from harness.mil.kernels._common import normalize_axis
from harness.mil.registry import kernel
from harness.mil.types import Array

_IOS17 = 7


def checked(context: Context, indices: Array, size: int, validate: bool) -> Array:
    """Indices as int64 in [0, size), out-of-range ones handled as described above."""
    index = indices.astype(np.int64)
    low = 0 if context.opset >= _IOS17 else -size
    bad = (index < low) | (index >= size)
    if bad.any():
        example = f"index {index[bad].flat[0]} in a dimension of {size}"
        if validate or size == 0:
            raise IndexError(f"{example} is out of range")
        context.note(INDEX_OUT_OF_RANGE, f"{example}, {int(bad.sum())} in all")
    return np.clip(np.where(index < 0, index + size, index), 0, max(size - 1, 0))


@kernel("gather", raw=True)
def gather(
    context: Context,
    x: Array,
    indices: Array,
    axis: int = 0,
    batch_dims: int = 0,
    validate_indices: bool = False,
) -> Array:
    """Slices of `x` along `axis`: x.shape[:axis] + indices.shape[batch_dims:] + x.shape[axis + 1:]. The first
    `batch_dims` dimensions of both are walked together."""
    axis = normalize_axis(axis, x.ndim)
    index = checked(context, indices, x.shape[axis], validate_indices)
    if batch_dims == 0:
        return np.take(x, index, axis)
    batch = x.shape[:batch_dims]
    result = np.empty(x.shape[:axis] + indices.shape[batch_dims:] + x.shape[axis + 1 :], x.dtype)
    for at in np.ndindex(*batch):
        result[at] = np.take(x[at], index[at], axis - batch_dims)
    return result


@kernel("gather_along_axis", raw=True)
def gather_along_axis(
    context: Context, x: Array, indices: Array, axis: int = 0, validate_indices: bool = False
) -> Array:
    """out[.., i, ..] = x[.., indices[.., i, ..], ..] at dimension `axis`; the result has the shape of `indices`."""
    axis = normalize_axis(axis, x.ndim)
    return np.take_along_axis(x, checked(context, indices, x.shape[axis], validate_indices), axis)


def _nd_index(context: Context, indices: Array, sizes: tuple[int, ...], validate: bool) -> tuple[Array, ...]:
    return tuple(checked(context, indices[..., i], size, validate) for i, size in enumerate(sizes))


@kernel("gather_nd", raw=True)
def gather_nd(context: Context, x: Array, indices: Array, batch_dims: int = 0, validate_indices: bool = False) -> Array:
    """x[indices[..., 0], indices[..., 1], ...]: indices.shape[:-1] + x.shape[batch_dims + indices.shape[-1]:]."""
    depth = indices.shape[-1]
    sizes = x.shape[batch_dims : batch_dims + depth]
    if len(sizes) != depth:
        raise ValueError(f"{depth} indices into rank {x.ndim} with {batch_dims} batch dimensions")
    index = _nd_index(context, indices, sizes, validate_indices)
    if batch_dims:
        grid = np.ix_(*(np.arange(s) for s in indices.shape[:batch_dims]))
        more = indices.ndim - 1 - batch_dims
        batch = tuple(g.reshape(g.shape + (1,) * more) for g in grid)
        return x[batch + index]
    return x[index] if depth else np.broadcast_to(x, indices.shape[:-1] + x.shape)


def _divide(data: Array, index: Any, updates: Array) -> None:
    flat = np.ones_like(data)
    np.multiply.at(flat, index, updates)
    touched = np.zeros(data.shape, bool)
    touched[index] = True
    quotient = np.divide(data, flat, where=touched, out=data.astype(np.float64))
    data[...] = np.where(touched, np.trunc(quotient) if data.dtype.kind != "f" else quotient, data)


def _update(data: Array, index: Any, updates: Array) -> None:
    data[index] = updates


_COMBINE: dict[str, Callable[[Array, Any, Array], None]] = {
    "update": _update,
    "add": np.add.at,
    "sub": np.subtract.at,
    "mul": np.multiply.at,
    "div": _divide,
    "max": np.maximum.at,
    "min": np.minimum.at,
}


def _combine(context: Context, data: Array, index: Any, updates: Array, mode: str) -> Array:
    if mode not in _COMBINE:
        raise ValueError(f"unknown mode {mode!r}: one of {', '.join(_COMBINE)}")
    result = data.copy()
    _COMBINE[mode](result, index, updates)
    return result


def _note_duplicates(context: Context, places: Array, mode: str) -> None:
    """`places`: one row for each written slice. Only `update` depends on the order."""
    if len(places) and len(np.unique(places, axis=0)) != len(places):
        if mode == "update":
            context.note(UNDOCUMENTED, "one place written to twice: the last one wins")
        else:
            context.note(DUPLICATE_INDEX, f"combined by {mode}")


@kernel("scatter", same=("data", "updates"))
def scatter(
    context: Context,
    data: Array,
    indices: Array,
    updates: Array,
    axis: int = 0,
    mode: str = "add",
    validate_indices: bool = False,
) -> Array:
    """`data` with slice i of `updates` combined into slice indices[i] along `axis`. The text of the documentation calls
    `update` the default mode, the definition has `add`; programs always state it."""
    axis = normalize_axis(axis, data.ndim)
    index = checked(context, indices, data.shape[axis], validate_indices)
    _note_duplicates(context, index.reshape(-1, 1), mode)
    expected = data.shape[:axis] + indices.shape + data.shape[axis + 1 :]
    if updates.shape != expected:
        raise ValueError(f"updates of shape {updates.shape}, {expected} expected")
    return _combine(context, data, (slice(None),) * axis + (index,), updates, mode)


@kernel("scatter_along_axis", same=("data", "updates"))
def scatter_along_axis(
    context: Context,
    data: Array,
    indices: Array,
    updates: Array,
    axis: int = 0,
    mode: str = "add",
    validate_indices: bool = False,
) -> Array:
    """`data` with updates[.., i, ..] combined into data[.., indices[.., i, ..], ..] at dimension `axis`."""
    axis = normalize_axis(axis, data.ndim)
    index = checked(context, indices, data.shape[axis], validate_indices)
    if updates.shape != index.shape:
        raise ValueError(f"updates of shape {updates.shape} for indices of shape {index.shape}")
    place: list[Array] = list(np.indices(index.shape, sparse=True))
    place[axis] = index
    flat = np.stack([np.broadcast_to(p, index.shape).reshape(-1) for p in place], -1)
    _note_duplicates(context, flat, mode)
    return _combine(context, data, tuple(place), updates, mode)


@kernel("scatter_nd", same=("data", "updates"))
def scatter_nd(
    context: Context,
    data: Array,
    indices: Array,
    updates: Array,
    mode: str = "add",
    validate_indices: bool = False,
) -> Array:
    """`data` with `updates` combined at data[indices[..., 0], indices[..., 1], ...]."""
    depth = indices.shape[-1]
    expected = indices.shape[:-1] + data.shape[depth:]
    if updates.shape != expected:
        raise ValueError(f"updates of shape {updates.shape}, {expected} expected")
    index = _nd_index(context, indices, data.shape[:depth], validate_indices)
    if not indices.size:
        context.note(UNDOCUMENTED, "scatter_nd without indices")
        return data.copy()
    _note_duplicates(context, np.stack([i.reshape(-1) for i in index], -1), mode)
    return _combine(context, data, index, updates, mode)
