"""Properties of `scatter_gather`: one Python loop over the indices."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st
from kernel_properties.draw import INT32, NUMBERS, Draw, axis_of, built, calls, modes, pick, shapes, some, values
from kernel_properties.movement import tensor
from kernel_properties.table import Call, declare


def _indices(draw: Draw, rng: np.random.Generator, shape: tuple[int, ...], size: int, opset: int) -> Any:
    """In [-size, size) up to iOS16. From iOS17 on in [0, size), now and then outside of it."""
    if opset < 7:
        return values(rng, shape, INT32, -size, size - 1)
    beyond = draw(st.integers(0, 3)) == 0
    return values(rng, shape, INT32, -size - 1 if beyond else 0, size + 1 if beyond else size - 1)


def _place(index: int, size: int) -> int:
    """Negative indices count from the end; what is outside is clamped, our reading of undefined but memory safe."""
    index = int(index)
    return min(max(index + size if index < 0 else index, 0), size - 1)


def _beyond(indices: Any, size: int, opset: int) -> bool:
    """Up to iOS16 an index may count from the end."""
    return any(not (0 if opset >= 7 else -size) <= int(i) < size for i in indices.reshape(-1))


def _noted(beyond: bool, places: list[Any] | None = None, mode: str = "add") -> set[str]:
    twice = places is not None and len(set(places)) < len(places)
    kind = "undocumented" if mode == "update" else "duplicate_index"
    return {k for k, found in (("index_out_of_range", beyond), (kind, twice)) if found}


def _gather_kinds(x: Any, indices: Any, opset: int, axis: int = 0, **more: Any) -> set[str]:
    return _noted(_beyond(indices, x.shape[axis], opset))


def _validation(call_arguments: dict[str, Any], draw: Draw) -> dict[str, Any]:
    return call_arguments | some(draw, validate_indices=[False])


def _gather_calls(draw: Draw, rng: np.random.Generator) -> Call:
    opset = pick(draw, 5, 6, 7, 8)
    shape = draw(shapes(1, 4, 1, 4))
    batch = draw(st.integers(0, len(shape) - 1)) if opset >= 6 and draw(st.booleans()) else 0
    if batch and draw(st.integers(0, 4)) == 0:
        shape = (0, *shape[1:])
    axis = draw(st.integers(batch, len(shape) - 1))
    index_shape = shape[:batch] + draw(shapes(0, 2, 0 if not batch else 1, 3))
    arguments: dict[str, Any] = {
        "x": tensor(draw, rng, shape),
        "indices": _indices(draw, rng, index_shape, shape[axis], opset),
    }
    if axis or draw(st.booleans()):
        arguments["axis"] = axis if draw(st.booleans()) else axis - len(shape)
    if batch:
        arguments["batch_dims"] = batch
    return Call(_validation(arguments, draw), opset=opset, mode=pick(draw, "wide", "exact"))


def _gather(x: Any, indices: Any, axis: int = 0, batch_dims: int = 0, validate_indices: bool = False) -> Any:
    axis %= x.ndim
    more = indices.ndim - batch_dims
    shape = x.shape[:axis] + indices.shape[batch_dims:] + x.shape[axis + 1 :]

    def element(at: tuple[int, ...]) -> Any:
        i = _place(indices[at[:batch_dims] + at[axis : axis + more]], x.shape[axis])
        return x[(*at[:axis], i, *at[axis + more :])]

    return built(shape, x.dtype, element)


declare("gather", calls(_gather_calls), _gather, kinds=_gather_kinds)


def _gather_along_calls(draw: Draw, rng: np.random.Generator) -> Call:
    opset = pick(draw, 5, 7, 8)
    shape = draw(shapes(1, 4, 1, 4))
    axis = draw(axis_of(len(shape)))
    wanted = list(shape)
    wanted[axis] = draw(st.integers(1, 4))
    indices = _indices(draw, rng, tuple(wanted), shape[axis], opset)
    arguments = {"x": tensor(draw, rng, shape), "indices": indices}
    if axis or draw(st.booleans()):
        arguments["axis"] = axis
    return Call(_validation(arguments, draw), opset=opset, mode=pick(draw, "wide", "exact"))


def _gather_along(x: Any, indices: Any, axis: int = 0, validate_indices: bool = False) -> Any:
    axis %= x.ndim
    return built(
        indices.shape,
        x.dtype,
        lambda at: x[(*at[:axis], _place(indices[at], x.shape[axis]), *at[axis + 1 :])],
    )


declare("gather_along_axis", calls(_gather_along_calls), _gather_along, kinds=_gather_kinds)


def _nd_indices(draw: Draw, rng: np.random.Generator, lead: tuple[int, ...], sizes: tuple[int, ...], opset: int) -> Any:
    columns = [_indices(draw, rng, lead, size, opset) for size in sizes]
    return np.stack(columns, -1) if columns else np.zeros((*lead, 0), np.int32)


def _gather_nd_calls(draw: Draw, rng: np.random.Generator) -> Call:
    opset = pick(draw, 5, 6, 7, 8)
    shape = draw(shapes(1, 4, 1, 3))
    batch = draw(st.integers(0, len(shape) - 1)) if opset >= 6 and draw(st.booleans()) else 0
    depth = draw(st.integers(1, len(shape) - batch))
    lead = shape[:batch] + draw(shapes(0, 2, 1, 3))
    arguments: dict[str, Any] = {
        "x": tensor(draw, rng, shape),
        "indices": _nd_indices(draw, rng, lead, shape[batch : batch + depth], opset),
    }
    if batch:
        arguments["batch_dims"] = batch
    return Call(_validation(arguments, draw), opset=opset, mode=pick(draw, "wide", "exact"))


def _gather_nd(x: Any, indices: Any, batch_dims: int = 0, validate_indices: bool = False) -> Any:
    depth, lead = indices.shape[-1], indices.shape[:-1]

    def element(at: tuple[int, ...]) -> Any:
        row = indices[at[: len(lead)]]
        place = tuple(_place(i, s) for i, s in zip(row, x.shape[batch_dims : batch_dims + depth], strict=True))
        return x[at[:batch_dims] + place + at[len(lead) :]]

    return built(lead + x.shape[batch_dims + depth :], x.dtype, element)


def _nd_beyond(indices: Any, sizes: tuple[int, ...], opset: int) -> bool:
    return any(_beyond(indices[..., i], sizes[i], opset) for i in range(indices.shape[-1]))


declare(
    "gather_nd",
    calls(_gather_nd_calls),
    _gather_nd,
    kinds=lambda x, indices, opset, batch_dims=0, **more: _noted(_nd_beyond(indices, x.shape[batch_dims:], opset)),
)

# --- scatter: every mode, duplicates written in order


def _quotient(a: Any, b: Any) -> Any:
    if isinstance(a, int):
        return int(a / b)
    return a / b if b else math.nan if a == 0 or a != a else math.copysign(math.inf, a) * math.copysign(1, b)


_COMBINE: dict[str, Callable[[Any, Any], Any]] = {
    "update": lambda a, b: b,
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": _quotient,
    "max": lambda a, b: b if b > a else a,
    "min": lambda a, b: b if b < a else a,
}


def _updates(draw: Draw, rng: np.random.Generator, shape: tuple[int, ...], dtype: Any, mode: str | None) -> Any:
    """Divisors are powers of two: quotients by them are exact in whatever order they are taken."""
    if mode == "div":
        return rng.choice([1, 2, 4], shape).astype(dtype)
    return values(rng, shape, dtype, -3, 3, grid=2)


def _scatter_parts(draw: Draw, rng: np.random.Generator) -> tuple[Any, tuple[int, ...], str | None, int]:
    dtype = draw(st.sampled_from(NUMBERS))
    shape = draw(shapes(1, 3, 1, 4))
    return values(rng, shape, dtype, -9, 9, grid=2), shape, pick(draw, None, "update", *_COMBINE), pick(draw, 5, 7, 8)


def _written(data: Any, mode: str, writes: list[tuple[tuple[int, ...], Any]]) -> Any:
    result = {at: data[at].item() for at in np.ndindex(*data.shape)}
    for at, value in writes:
        result[at] = _COMBINE[mode](result[at], value.item())
    return built(data.shape, np.float64, lambda at: result[at])


def _scatter_calls(draw: Draw, rng: np.random.Generator) -> Call:
    data, shape, mode, opset = _scatter_parts(draw, rng)
    axis = draw(st.integers(0, len(shape) - 1))
    index_shape = draw(shapes(1, 2, 1, 3))
    updates = _updates(draw, rng, shape[:axis] + index_shape + shape[axis + 1 :], data.dtype, mode)
    indices = _indices(draw, rng, index_shape, shape[axis], opset)
    arguments: dict[str, Any] = {"data": data, "indices": indices, "updates": updates}
    if axis or draw(st.booleans()):
        arguments["axis"] = axis if draw(st.booleans()) else axis - len(shape)
    if mode is not None:
        arguments["mode"] = mode
    return Call(arguments, opset=opset, mode=draw(modes(data.dtype)))


def _scatter(data: Any, indices: Any, updates: Any, axis: int = 0, mode: str = "add") -> Any:
    axis %= data.ndim
    writes = []
    for at in np.ndindex(*updates.shape):
        i = _place(indices[at[axis : axis + indices.ndim]], data.shape[axis])
        writes.append(((*at[:axis], i, *at[axis + indices.ndim :]), updates[at]))
    return _written(data, mode, writes)


def _scatter_kinds(data: Any, indices: Any, opset: int, axis: int = 0, mode: str = "add", **more: Any) -> set[str]:
    size = data.shape[axis]
    return _noted(_beyond(indices, size, opset), [_place(i, size) for i in indices.reshape(-1)], mode)


declare("scatter", calls(_scatter_calls), _scatter, like="data", ulps=1, slack=0, kinds=_scatter_kinds)


def _scatter_along_calls(draw: Draw, rng: np.random.Generator) -> Call:
    data, shape, mode, opset = _scatter_parts(draw, rng)
    axis = draw(axis_of(len(shape)))
    index_shape = tuple(draw(st.integers(1, s)) for s in shape)
    updates = _updates(draw, rng, index_shape, data.dtype, mode)
    indices = _indices(draw, rng, index_shape, shape[axis], opset)
    arguments: dict[str, Any] = {"data": data, "indices": indices, "updates": updates}
    if axis or draw(st.booleans()):
        arguments["axis"] = axis
    if mode is not None:
        arguments["mode"] = mode
    return Call(arguments, opset=opset, mode=draw(modes(data.dtype)))


def _scatter_along(data: Any, indices: Any, updates: Any, axis: int = 0, mode: str = "add") -> Any:
    axis %= data.ndim
    writes = []
    for at in np.ndindex(*updates.shape):
        writes.append(((*at[:axis], _place(indices[at], data.shape[axis]), *at[axis + 1 :]), updates[at]))
    return _written(data, mode, writes)


def _scatter_along_kinds(
    data: Any, indices: Any, opset: int, axis: int = 0, mode: str = "add", **more: Any
) -> set[str]:
    size, axis = data.shape[axis], axis % data.ndim
    places = [(*at[:axis], _place(indices[at], size), *at[axis + 1 :]) for at in np.ndindex(*indices.shape)]
    return _noted(_beyond(indices, size, opset), places, mode)


declare(
    "scatter_along_axis",
    calls(_scatter_along_calls),
    _scatter_along,
    like="data",
    ulps=1,
    slack=0,
    kinds=_scatter_along_kinds,
)


def _scatter_nd_calls(draw: Draw, rng: np.random.Generator) -> Call:
    data, shape, mode, opset = _scatter_parts(draw, rng)
    depth = draw(st.integers(1, len(shape)))
    lead = draw(shapes(1, 2, 0, 3))
    arguments: dict[str, Any] = {
        "data": data,
        "indices": _nd_indices(draw, rng, lead, shape[:depth], opset),
        "updates": _updates(draw, rng, lead + shape[depth:], data.dtype, mode),
    }
    if mode is not None:
        arguments["mode"] = mode
    return Call(arguments, opset=opset, mode=draw(modes(data.dtype)))


def _scatter_nd(data: Any, indices: Any, updates: Any, mode: str = "add") -> Any:
    lead = indices.shape[:-1]
    writes = []
    for at in np.ndindex(*updates.shape):
        row = indices[at[: len(lead)]]
        place = tuple(_place(i, s) for i, s in zip(row, data.shape, strict=False))
        writes.append((place + at[len(lead) :], updates[at]))
    return _written(data, mode, writes)


def _scatter_nd_kinds(data: Any, indices: Any, opset: int, mode: str = "add", **more: Any) -> set[str]:
    if not indices.size:
        return {"undocumented"}
    rows = indices.reshape(-1, indices.shape[-1])
    places = [tuple(_place(i, s) for i, s in zip(row, data.shape, strict=False)) for row in rows]
    return _noted(_nd_beyond(indices, data.shape, opset), places, mode)


declare("scatter_nd", calls(_scatter_nd_calls), _scatter_nd, like="data", ulps=1, slack=0, kinds=_scatter_nd_kinds)
