"""Properties of `tensor_operation`: tensors made, ordered, filled and searched, by rules on single elements."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from hypothesis import strategies as st
from kernel_properties.draw import (
    ANY,
    INT32,
    NUMBERS,
    Draw,
    axis_of,
    built,
    calls,
    modes,
    pick,
    shapes,
    some,
    values,
)
from kernel_properties.table import Call, declare


def _tensor(draw: Draw, rng: np.random.Generator, shape: tuple[int, ...], dtypes: tuple[Any, ...] = ANY) -> Any:
    dtype = draw(st.sampled_from(dtypes))
    return values(rng, shape, dtype, 0 if dtype.kind == "u" else -10, 10, special=draw(st.booleans()))


def _any_mode(draw: Draw) -> str:
    return pick(draw, "wide", "exact", "strict")


def _band_calls(draw: Draw, rng: np.random.Generator) -> Call:
    x = _tensor(draw, rng, draw(shapes(2, 4, 0, 5)))
    return Call({"x": x} | some(draw, lower=[-1, 0, 1, 2], upper=[-1, 0, 1, 2]), mode=_any_mode(draw))


def _band(x: Any, lower: int = -1, upper: int = -1) -> Any:
    def element(at: tuple[int, ...]) -> Any:
        below, above = at[-2] - at[-1], at[-1] - at[-2]
        return 0 if (lower >= 0 and below > lower) or (upper >= 0 and above > upper) else x[at]

    return built(x.shape, x.dtype, element)


declare("band_part", calls(_band_calls), _band)


def _cumsum_calls(draw: Draw, rng: np.random.Generator) -> Call:
    dtype = draw(st.sampled_from(NUMBERS))
    shape = draw(shapes(draw(st.integers(1, 2)), 3, 0, 4))
    arguments = {"x": values(rng, shape, dtype, -4, 4, grid=2)}
    if draw(st.booleans()):
        arguments["axis"] = draw(axis_of(len(shape)))
    arguments |= some(draw, exclusive=[True, False], reverse=[True, False])
    return Call(arguments, mode=draw(modes(dtype)))


def _cumsum(x: Any, axis: int = 0, exclusive: bool = False, reverse: bool = False) -> Any:
    def element(at: tuple[int, ...]) -> Any:
        here = at[axis]
        span = range(here, x.shape[axis]) if reverse else range(here + 1)
        line = list(at)
        total = 0
        for i in span:
            if exclusive and i == here:
                continue
            line[axis] = i
            total += x[tuple(line)].item()
        return total

    return built(x.shape, np.float64, element)


declare("cumsum", calls(_cumsum_calls), _cumsum, ulps=1, slack=0)


def _fill_calls(draw: Draw, rng: np.random.Generator) -> Call:
    arguments: dict[str, Any] = {"shape": np.array(draw(shapes(0, 3, 0, 4)), np.int32)}
    if draw(st.booleans()):
        arguments["value"] = _tensor(draw, rng, ())
    return Call(arguments, constant=frozenset(draw(st.sampled_from(("", "shape"))).split()))


def _filled(shape: tuple[int, ...], value: Any) -> Any:
    content = np.float32(0) if value is None else value
    return built(shape, content.dtype, lambda at: content)


def _fill_like_calls(draw: Draw, rng: np.random.Generator) -> Call:
    arguments = {"ref_tensor": _tensor(draw, rng, draw(shapes(0, 3, 0, 4)))}
    if draw(st.booleans()):
        arguments["value"] = _tensor(draw, rng, ())
    return Call(arguments)


declare("fill", calls(_fill_calls), lambda shape, value=None: _filled(tuple(int(s) for s in shape), value), like=None)
declare(
    "fill_like", calls(_fill_like_calls), lambda ref_tensor, value=None: _filled(ref_tensor.shape, value), like=None
)


def _non_zero_calls(draw: Draw, rng: np.random.Generator) -> Call:
    dtype = draw(st.sampled_from(ANY))
    x = values(rng, draw(shapes(0, 3, 0, 4)), dtype, -1 if dtype.kind != "u" else 0, 1, draw(st.booleans()), 1)
    return Call({"x": x})


def _non_zero(x: Any) -> Any:
    found = [at for at in product(*map(range, x.shape)) if x[at] != 0]
    return np.array(found, np.int32).reshape(len(found), x.ndim)


declare(
    "non_zero",
    calls(_non_zero_calls),
    _non_zero,
    like=None,
    kinds=lambda x, **more: {"undocumented"} if x.ndim == 0 or x.size == 0 else set(),
)


def _one_hot_calls(draw: Draw, rng: np.random.Generator) -> Call:
    shape = draw(shapes(0, 3, 0, 3))
    arguments = {"indices": values(rng, shape, INT32, -1, 5), "one_hot_vector_size": draw(st.integers(1, 5))}
    if draw(st.booleans()):
        arguments["axis"] = draw(axis_of(len(shape) + 1))
    dtype = draw(st.sampled_from(NUMBERS))
    if draw(st.booleans()):
        arguments["on_value"] = values(rng, (), dtype, 1, 9)
        if draw(st.booleans()):
            arguments["off_value"] = values(rng, (), dtype, -9, 0)
    return Call(arguments)


def _one_hot(
    indices: Any, one_hot_vector_size: int, axis: int = -1, on_value: Any = None, off_value: Any = None
) -> Any:
    on = np.int32(1) if on_value is None else on_value
    off = on.dtype.type(0) if off_value is None else off_value
    axis %= indices.ndim + 1
    shape = indices.shape[:axis] + (one_hot_vector_size,) + indices.shape[axis:]
    return built(shape, on.dtype, lambda at: on if indices[at[:axis] + at[axis + 1 :]] == at[axis] else off)


def _one_hot_kinds(indices: Any, one_hot_vector_size: int, **more: Any) -> set[str]:
    return {"undocumented"} if any(i not in range(one_hot_vector_size) for i in indices.flat) else set()


declare("one_hot", calls(_one_hot_calls), _one_hot, like=None, kinds=_one_hot_kinds)


def _pad_calls(draw: Draw, rng: np.random.Generator) -> Call:
    mode = pick(draw, None, "constant", "reflect", "replicate")
    shape = draw(shapes(1, 4, 0 if mode in (None, "constant") else 1, 4))
    pads = []
    for size in shape[draw(st.integers(0, len(shape) - 1)) :]:
        most = size - 1 if mode == "reflect" else 3
        pads += [draw(st.integers(0, most)), draw(st.integers(0, most))]
    x = _tensor(draw, rng, shape, NUMBERS)
    arguments = {"x": x, "pad": tuple(pads)}
    if mode is not None:
        arguments["mode"] = mode
    if mode != "reflect" and draw(st.booleans()):
        arguments["constant_val"] = values(rng, (), x.dtype, -9, 9)
    return Call(arguments, mode=_any_mode(draw))


def _pad(x: Any, pad: tuple[int, ...], mode: str = "constant", constant_val: Any = None) -> Any:
    skip = x.ndim - len(pad) // 2
    before, after = (0,) * skip + pad[::2], (0,) * skip + pad[1::2]

    def element(at: tuple[int, ...]) -> Any:
        place = []
        for i, b, size in zip(at, before, x.shape, strict=True):
            p = i - b
            if mode == "reflect":
                p = -p if p < 0 else 2 * (size - 1) - p if p >= size else p
            elif mode == "replicate":
                p = min(max(p, 0), size - 1)
            elif not 0 <= p < size:
                return 0 if constant_val is None else constant_val
            place.append(p)
        return x[tuple(place)]

    return built(tuple(s + b + a for s, b, a in zip(x.shape, before, after, strict=True)), x.dtype, element)


declare("pad", calls(_pad_calls), _pad)


def _range_calls(draw: Draw, rng: np.random.Generator) -> Call:
    dtype = draw(st.sampled_from(NUMBERS))
    step = values(rng, (), dtype, 1, 3, grid=4)
    if draw(st.booleans()):
        step = -step
    start, end = values(rng, (), dtype, -5, 5, grid=4), values(rng, (), dtype, -5, 5, grid=4)
    return Call({"start": start, "end": end, "step": np.asarray(step, dtype)}, mode=draw(modes(dtype)))


def _range(start: Any, end: Any, step: Any) -> Any:
    found, at, i = [], start.item(), 0
    while (at < end.item()) if step > 0 else (at > end.item()):
        found.append(at)
        i += 1
        at = start.item() + i * step.item()
    return np.array(found)


declare("range_1d", calls(_range_calls), _range, like="start")


def _sort_calls(draw: Draw, rng: np.random.Generator, most: int = 5) -> dict[str, Any]:
    dtype = draw(st.sampled_from(NUMBERS))
    shape = draw(shapes(1, 3, 1, most))
    x = values(rng, shape, dtype, -3, 3, grid=pick(draw, 1, 0))
    if dtype.kind == "f" and draw(st.booleans()):
        x = np.where(rng.random(shape) < 0.3, rng.choice([np.inf, -np.inf, np.nan], shape), x).astype(dtype)
    arguments: dict[str, Any] = {"x": x} | some(draw, ascending=[True, False])
    if draw(st.booleans()):
        arguments["axis"] = draw(axis_of(len(shape)))
    return arguments


def _argsort_calls(draw: Draw, rng: np.random.Generator) -> Call:
    return Call(_sort_calls(draw, rng) | some(draw, output_dtype=["int32", "uint16"]), mode=_any_mode(draw))


def _sorted_lines(x: Any, axis: int, ascending: bool) -> Any:
    """For each place the index of the element that a stable sort puts there."""
    order = np.empty(x.shape, np.int64)
    for at in product(*(range(s) if i != axis % x.ndim else (0,) for i, s in enumerate(x.shape))):
        place: list[Any] = list(at)
        place[axis] = slice(None)
        line = x[tuple(place)].tolist()
        sign = 1 if ascending else -1
        # NaN counts as the largest value.
        ranks = [(sign, 0.0) if v != v else (0, sign * v) for v in line]
        order[tuple(place)] = sorted(range(len(line)), key=ranks.__getitem__)
    return order


def _argsort(x: Any, axis: int = -1, ascending: bool = False, output_dtype: str = "int32") -> Any:
    return _sorted_lines(x, axis, ascending).astype(output_dtype)


def _order_left_open(x: Any, axis: int = -1, ascending: bool = False, k: int = -1, **more: Any) -> set[str]:
    """Equal elements among those returned, or the next one after them; NaN anywhere."""
    lines = np.moveaxis(x, axis, -1).reshape(-1, x.shape[axis]).tolist()
    for line in lines:
        numbers = sorted((v for v in line if v == v), reverse=not ascending)
        seen = numbers if k == -1 else numbers[: k + 1]
        if len(numbers) < len(line) or len(set(seen)) < len(seen):
            return {"undocumented"}
    return set()


declare("argsort", calls(_argsort_calls), _argsort, like=None, kinds=_order_left_open)


def _topk_calls(draw: Draw, rng: np.random.Generator) -> Call:
    arguments = _sort_calls(draw, rng)
    size = arguments["x"].shape[arguments.get("axis", -1)]
    if draw(st.booleans()):
        arguments["k"] = pick(draw, -1, *range(1, size + 1))
    arguments |= some(draw, return_indices=[True, False], output_indices_dtype=["int32", "uint16"])
    return Call(arguments, mode=_any_mode(draw))


def _topk(
    x: Any,
    k: int = 1,
    axis: int = -1,
    ascending: bool = False,
    return_indices: bool = True,
    output_indices_dtype: str = "int32",
) -> Any:
    order = _sorted_lines(x, axis, ascending)
    if k != -1:
        order = order[tuple(slice(k if i == axis % x.ndim else s) for i, s in enumerate(x.shape))]

    def element(at: tuple[int, ...]) -> Any:
        place = list(at)
        place[axis] = order[at]
        return x[tuple(place)]

    values_found = built(order.shape, x.dtype, element)
    return [values_found, order.astype(output_indices_dtype)] if return_indices else values_found


declare(
    "topk",
    calls(_topk_calls),
    _topk,
    like=None,
    kinds=lambda **arguments: _order_left_open(**({"k": 1} | arguments)),
)


def _shape_calls(draw: Draw, rng: np.random.Generator) -> Call:
    x = _tensor(draw, rng, draw(shapes(0, 4, 0, 4)))
    return Call({"x": x} | some(draw, output_dtype=["int32", "uint16", "int16"]))


def _shape(x: Any, output_dtype: str = "int32") -> Any:
    sizes = []
    part = x
    for _ in range(x.ndim):
        sizes.append(len(part))
        part = part[0] if len(part) else np.empty(part.shape[1:])
    return np.array(sizes, output_dtype)


declare("shape", calls(_shape_calls), _shape, like=None)
