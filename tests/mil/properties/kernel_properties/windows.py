"""Properties of `pool` and `normalization`: the elements of each window or group as a Python list."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
from hypothesis import strategies as st
from kernel_properties.draw import FLOATS, Draw, axes_of, built, calls, modes, pick, shapes, some, values
from kernel_properties.sums import before_of, sum_modes
from kernel_properties.table import Call, declare


def _pool_calls(summed: bool = True, **options: Any) -> st.SearchStrategy[Call]:
    def make(draw: Draw, rng: np.random.Generator) -> Call:
        dtype = draw(st.sampled_from(FLOATS))
        rank = draw(st.integers(1, 3))
        kernel_sizes = tuple(draw(st.integers(1, 3)) for _ in range(rank))
        kind = pick(draw, "valid", "same", "same_lower", "custom", "valid", "custom")
        given: dict[str, Any] = {"kernel_sizes": kernel_sizes, "pad_type": kind}
        if draw(st.integers(0, 3)):
            given["strides"] = tuple(pick(draw, 1, 2, 2, 3) for _ in range(rank))
        if kind == "custom":
            given["pad"] = tuple(draw(st.integers(0, k - 1)) for k in kernel_sizes for _ in range(2))
        given |= some(draw, **options)
        if kind in ("valid", "custom"):
            ceil = pick(draw, None, True, True, False)
            given |= {} if ceil is None else {"ceil_mode": ceil}
        sizes = tuple(k + draw(st.integers(0, 3 if rank < 3 else 1)) for k in kernel_sizes)
        x = values(
            rng, (pick(draw, 1, 2, 2, 0), pick(draw, 1, 2, 2, 2, 0), *sizes), dtype, -8, 8, draw(st.booleans()), 2
        )
        return Call({"x": x} | given, mode=draw(sum_modes(dtype) if summed else modes(dtype)))

    return calls(make)


def _pooled(function: Callable[[list[float | None], list[bool]], float]) -> Callable[..., Any]:
    """`function` of the elements of a window, None for padding, and of whether each place is inside the declared
    padding (what ceil mode adds beyond is not)."""

    def statement(
        x: Any,
        kernel_sizes: Any,
        pad_type: str,
        strides: Any = None,
        pad: Any = None,
        ceil_mode: bool = False,
        **more: Any,
    ) -> Any:
        rank = len(kernel_sizes)
        strides = strides or (1,) * rank
        begins, counts, limits = [], [], []
        for i, (size, k, stride) in enumerate(zip(x.shape[2:], kernel_sizes, strides, strict=True)):
            before, count = before_of(size, k, stride, 1, pad_type, pad, i)
            after = pad[2 * i + 1] if pad is not None and pad_type == "custom" else 0
            if pad_type.startswith("same"):
                after = max((count - 1) * stride + k - size, 0) - before
            if ceil_mode:
                count = math.ceil((size + before + after - k) / stride) + 1
                if before + after and (count - 1) * stride >= size + before:
                    count -= 1
            begins.append(before)
            counts.append(count)
            limits.append(size + after)

        def element(at: tuple[int, ...]) -> float:
            items: list[float | None] = []
            declared = []
            for k in product(*map(range, kernel_sizes)):
                place = tuple(p * s + q - b for p, s, q, b in zip(at[2:], strides, k, begins, strict=True))
                inside = all(0 <= p < s for p, s in zip(place, x.shape[2:], strict=True))
                items.append(float(x[at[:2] + place]) if inside else None)
                declared.append(all(p < limit for p, limit in zip(place, limits, strict=True)))
            return function(items, declared, **more)

        return built(x.shape[:2] + tuple(counts), np.float64, element)

    return statement


def _average(items: list[float | None], declared: list[bool], exclude_padding_from_average: bool = False) -> float:
    numbers = [i for i in items if i is not None]
    count = len(numbers) if exclude_padding_from_average else sum(declared)
    return sum(numbers) / count if count else math.nan


def _maximum(items: list[float | None], declared: list[bool]) -> float:
    numbers = [i for i in items if i is not None]
    return math.nan if any(i != i for i in numbers) else max(numbers, default=-math.inf)


declare("avg_pool", _pool_calls(exclude_padding_from_average=[True, True, False]), _pooled(_average), ulps=2, slack=1)
declare(
    "max_pool",
    _pool_calls(),
    _pooled(_maximum),
    ulps=1,
    slack=0,
)
declare(
    "l2_pool",
    _pool_calls(summed=False),
    _pooled(lambda items, declared: math.sqrt(sum(i * i for i in items if i is not None))),
    ulps=2,
    slack=1,
)

# --- normalization


def _parameters(draw: Draw, rng: np.random.Generator, dtype: Any, shape: tuple[int, ...]) -> dict[str, Any]:
    given: dict[str, Any] = {}
    if draw(st.booleans()):
        given["gamma"] = values(rng, shape, dtype, -2, 2)
        if draw(st.booleans()):
            given["beta"] = values(rng, shape, dtype, -2, 2)
    return given | some(draw, epsilon=[0.125, 0.5])


def _epsilon(x: Any, default: float, epsilon: float | None) -> float:
    return float(np.asarray(default, x.dtype)) if epsilon is None else epsilon


def _standardized(x: Any, at: tuple[int, ...], over: list[int], epsilon: float) -> float:
    ranges = [range(s) if i in over else (at[i],) for i, s in enumerate(x.shape)]
    items = [float(x[p]) for p in product(*ranges)]
    mean = sum(items) / len(items)
    spread = sum((i - mean) ** 2 for i in items) / len(items)
    return (float(x[at]) - mean) / math.sqrt(spread + epsilon)


def _layer_calls(draw: Draw, rng: np.random.Generator) -> Call:
    dtype = draw(st.sampled_from(FLOATS))
    shape = draw(shapes(1, 4, 0, 4))
    arguments: dict[str, Any] = {"x": values(rng, shape, dtype, -4, 4)}
    over = list(range(len(shape)))
    if draw(st.booleans()):
        axes = tuple(sorted(draw(axes_of(len(shape), 1)), key=lambda a: a % len(shape)))
        arguments["axes"], over = axes, [a % len(shape) for a in axes]
    arguments |= _parameters(draw, rng, dtype, tuple(shape[i] for i in over))
    return Call(arguments, mode=draw(modes(dtype)))


def _layer_norm(x: Any, axes: Any = None, gamma: Any = None, beta: Any = None, epsilon: float | None = None) -> Any:
    over = list(range(x.ndim)) if axes is None else [a % x.ndim for a in axes]

    def element(at: tuple[int, ...]) -> float:
        result = _standardized(x, at, over, _epsilon(x, 1e-5, epsilon))
        place = tuple(at[i] for i in over)
        result = result if gamma is None else result * float(gamma[place])
        return result if beta is None else result + float(beta[place])

    return built(x.shape, np.float64, element)


declare("layer_norm", calls(_layer_calls), _layer_norm, ulps=2, slack=16)


def _instance_calls(draw: Draw, rng: np.random.Generator) -> Call:
    dtype = draw(st.sampled_from(FLOATS))
    shape = draw(shapes(3, 4, 1, 3))
    return Call(
        {"x": values(rng, shape, dtype, -4, 4)} | _parameters(draw, rng, dtype, (shape[1],)), mode=draw(modes(dtype))
    )


def _instance_norm(x: Any, gamma: Any = None, beta: Any = None, epsilon: float | None = None) -> Any:
    def element(at: tuple[int, ...]) -> float:
        result = _standardized(x, at, list(range(2, x.ndim)), _epsilon(x, 1e-5, epsilon))
        result = result if gamma is None else result * float(gamma[at[1]])
        return result if beta is None else result + float(beta[at[1]])

    return built(x.shape, np.float64, element)


declare("instance_norm", calls(_instance_calls), _instance_norm, ulps=2, slack=16)


def _batch_calls(draw: Draw, rng: np.random.Generator) -> Call:
    dtype = draw(st.sampled_from(FLOATS))
    shape = draw(shapes(3, 5, 1, 3))
    arguments = {
        "x": values(rng, shape, dtype, -4, 4),
        "mean": values(rng, (shape[1],), dtype, -2, 2),
        "variance": values(rng, (shape[1],), dtype, 0.125, 4),
    }
    arguments |= _parameters(draw, rng, dtype, (shape[1],))
    return Call(arguments, mode=draw(modes(dtype)))


def _batch_norm(
    x: Any, mean: Any, variance: Any, gamma: Any = None, beta: Any = None, epsilon: float | None = None
) -> Any:
    def element(at: tuple[int, ...]) -> float:
        c = at[1]
        result = (float(x[at]) - float(mean[c])) / math.sqrt(float(variance[c]) + _epsilon(x, 1e-5, epsilon))
        result = result if gamma is None else result * float(gamma[c])
        return result if beta is None else result + float(beta[c])

    return built(x.shape, np.float64, element)


declare("batch_norm", calls(_batch_calls), _batch_norm, ulps=2, slack=2)


def _l2_calls(draw: Draw, rng: np.random.Generator) -> Call:
    dtype = draw(st.sampled_from(FLOATS))
    scale = pick(draw, 4, 0.125, 0)
    x = values(rng, draw(shapes(3, 5, 1, 3)), dtype, -scale, scale)
    return Call({"x": x} | some(draw, epsilon=[0.125, 0.5]), mode=draw(modes(dtype)))


def _l2_norm(x: Any, epsilon: float | None = None) -> Any:
    def element(at: tuple[int, ...]) -> float:
        total = sum(float(x[(*at[:-3], *p)]) ** 2 for p in product(*map(range, x.shape[-3:])))
        total += _epsilon(x, 1e-6, epsilon)
        return float(x[at]) / math.sqrt(total) if total else math.nan

    return built(x.shape, np.float64, element)


declare("l2_norm", calls(_l2_calls), _l2_norm, ulps=2, slack=1)


def _local_calls(draw: Draw, rng: np.random.Generator) -> Call:
    dtype = draw(st.sampled_from(FLOATS))
    x = values(rng, (draw(st.integers(1, 2)), draw(st.integers(1, 6)), *draw(shapes(1, 2, 1, 2))), dtype, -4, 4)
    given = some(draw, alpha=[0.5, 2.0], beta=[0.5, 1.5], k=[2.0, 0.5])
    return Call({"x": x, "size": draw(st.integers(1, 5))} | given, mode=draw(modes(dtype)))


def _local(x: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Any:
    def element(at: tuple[int, ...]) -> float:
        first = at[1] - size // 2
        near = [c for c in range(first, first + size) if 0 <= c < x.shape[1]]
        total = sum(float(x[(at[0], c, *at[2:])]) ** 2 for c in near)
        return float(x[at]) / (k + alpha / size * total) ** beta

    return built(x.shape, np.float64, element)


declare(
    "local_response_norm",
    calls(_local_calls),
    _local,
    ulps=4,
    slack=1,
    kinds=lambda size, **more: {"undocumented"} if size % 2 == 0 else set(),
)
