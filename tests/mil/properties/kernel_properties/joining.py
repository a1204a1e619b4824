"""Properties of the operators of `tensor_transformation` that join, cut and repeat."""

from __future__ import annotations

from itertools import accumulate
from typing import Any

import numpy as np
from hypothesis import strategies as st
from kernel_properties.draw import ANY, Draw, axis_of, built, calls, pick, shapes
from kernel_properties.movement import moved, tensor
from kernel_properties.table import Call, declare


def _concat_calls(draw: Draw, rng: np.random.Generator) -> Call:
    dtype = draw(st.sampled_from(ANY))
    count = draw(st.integers(1, 3))
    mode = pick(draw, "wide", "exact")
    if draw(st.integers(0, 4)) == 0:
        return Call({"values": tuple(tensor(draw, rng, (), dtype) for _ in range(count)), "axis": 0}, mode=mode)
    shape = list(draw(shapes(1, 4, 0, 3)))
    axis = draw(axis_of(len(shape)))
    interleave = draw(st.booleans())
    parts = []
    for _ in range(count):
        if not interleave:
            shape[axis] = draw(st.integers(0, 3))
        parts.append(tensor(draw, rng, tuple(shape), dtype))
    arguments: dict[str, Any] = {"values": tuple(parts), "axis": axis}
    if interleave or draw(st.booleans()):
        arguments["interleave"] = interleave
    return Call(arguments, mode=mode)


def _concat(values: Any, axis: int, interleave: bool = False) -> Any:
    if values[0].ndim == 0:
        return np.array([v.item() for v in values])
    where: list[tuple[int, int]] = [(part, i) for part, v in enumerate(values) for i in range(v.shape[axis])]
    if interleave:
        where.sort(key=lambda place: (place[1], place[0]))
    axis %= values[0].ndim
    shape = (*values[0].shape[:axis], len(where), *values[0].shape[axis + 1 :])

    def element(at: tuple[int, ...]) -> Any:
        part, i = where[at[axis]]
        return values[part][(*at[:axis], i, *at[axis + 1 :])]

    return built(shape, values[0].dtype, element)


declare("concat", calls(_concat_calls), _concat, like="values")


def _stack_calls(draw: Draw, rng: np.random.Generator) -> Call:
    dtype = draw(st.sampled_from(ANY))
    shape = draw(shapes(0, 3, 0, 3))
    parts = tuple(tensor(draw, rng, shape, dtype) for _ in range(draw(st.integers(1, 3))))
    return Call({"values": parts, "axis": draw(axis_of(len(shape) + 1))}, mode=pick(draw, "wide", "exact"))


def _stack(values: Any, axis: int) -> Any:
    axis %= values[0].ndim + 1
    shape = (*values[0].shape[:axis], len(values), *values[0].shape[axis:])
    return built(shape, values[0].dtype, lambda at: values[at[axis]][at[:axis] + at[axis + 1 :]])


declare("stack", calls(_stack_calls), _stack, like="values")


def _split_calls(draw: Draw, rng: np.random.Generator) -> Call:
    shape = list(draw(shapes(1, 4, 1, 3)))
    axis = draw(axis_of(len(shape)))
    arguments: dict[str, Any] = {"axis": axis}
    if draw(st.booleans()):
        arguments["num_splits"] = draw(st.integers(1, 3))
        shape[axis] *= arguments["num_splits"]
    else:
        sizes = tuple(draw(st.integers(1, 3)) for _ in range(draw(st.integers(1, 3))))
        arguments["split_sizes"], shape[axis] = sizes, sum(sizes)
    return Call({"x": tensor(draw, rng, tuple(shape))} | arguments, mode=pick(draw, "wide", "exact"))


def _split(x: Any, axis: int, num_splits: int | None = None, split_sizes: tuple[int, ...] | None = None) -> Any:
    axis %= x.ndim
    sizes = split_sizes or (x.shape[axis] // (num_splits or 1),) * (num_splits or 1)
    firsts = [0, *accumulate(sizes)]

    def part(first: int, size: int) -> Any:
        shape = (*x.shape[:axis], size, *x.shape[axis + 1 :])
        return built(shape, x.dtype, lambda at: x[(*at[:axis], first + at[axis], *at[axis + 1 :])])

    return [part(first, size) for first, size in zip(firsts, sizes, strict=False)]


declare("split", calls(_split_calls), _split)


def _repeats(draw: Draw, shape: tuple[int, ...]) -> dict[str, Any]:
    return {"reps": tuple(draw(st.integers(0, 3)) for _ in shape)}


def _tile(x: Any, reps: tuple[int, ...]) -> Any:
    shape = tuple(s * r for s, r in zip(x.shape, reps, strict=True))
    return built(shape, x.dtype, lambda at: x[tuple(i % s for i, s in zip(at, x.shape, strict=True))])


declare("tile", moved(_repeats, 1, 4), _tile, kinds=lambda x, reps, **more: {"undocumented"} if 0 in reps else set())


def _crops(draw: Draw, shape: tuple[int, ...]) -> dict[str, Any]:
    def sides(size: int) -> tuple[int, int]:
        before = draw(st.integers(0, size - 1))
        return before, draw(st.integers(0, size - 1 - before))

    return {"crop_height": sides(shape[-2]), "crop_width": sides(shape[-1])}


def _crop(x: Any, crop_height: tuple[int, int], crop_width: tuple[int, int]) -> Any:
    shape = (*x.shape[:-2], x.shape[-2] - sum(crop_height), x.shape[-1] - sum(crop_width))
    return built(shape, x.dtype, lambda at: x[(*at[:-2], at[-2] + crop_height[0], at[-1] + crop_width[0])])


declare("crop", moved(_crops, 4, 4, 1), _crop)
