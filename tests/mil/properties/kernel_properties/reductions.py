"""Properties of `reduction`: for each kept index, the list of elements in Python."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
from hypothesis import strategies as st
from kernel_properties.draw import FLOATS, NUMBERS, Draw, axes_of, axis_of, built, calls, modes, pick, shapes, values
from kernel_properties.sums import sum_modes
from kernel_properties.table import Call, declare


def reduction(
    dtypes: tuple[Any, ...] = NUMBERS,
    low: float = -4,
    high: float = 4,
    least: int = 1,
    special: bool = True,
    strict: bool = False,
) -> st.SearchStrategy[Call]:
    def make(draw: Draw, rng: np.random.Generator) -> Call:
        dtype = draw(st.sampled_from(dtypes))
        shape = draw(shapes(0, 4, least, 4))
        arguments: dict[str, Any] = {"x": values(rng, shape, dtype, low, high, special and draw(st.booleans()), 2)}
        if draw(st.booleans()):
            arguments["axes"] = draw(axes_of(len(shape), 1))
            if not arguments["axes"]:
                del arguments["axes"]
        if draw(st.booleans()):
            arguments["keep_dims"] = draw(st.booleans())
        return Call(arguments, mode=draw(sum_modes(dtype) if strict else modes(dtype)))

    return calls(make)


def reduced(function: Callable[[list[Any]], Any], dtype: Any = np.float64) -> Callable[..., Any]:
    """`function` of the Python numbers that share a kept index."""

    def statement(x: Any, axes: tuple[int, ...] | None = None, keep_dims: bool = False) -> Any:
        gone = set(range(x.ndim)) if axes is None else {a % x.ndim for a in axes}

        def element(at: tuple[int, ...]) -> Any:
            ranges = [range(s) if i in gone else (at[i],) for i, s in enumerate(x.shape)]
            return function([x[p].item() for p in product(*ranges)])

        full = built(tuple(1 if i in gone else s for i, s in enumerate(x.shape)), dtype, element)
        return full if keep_dims else full.reshape([s for i, s in enumerate(x.shape) if i not in gone])

    return statement


def _largest(items: list[Any]) -> Any:
    if not items:
        return -math.inf
    return math.nan if any(i != i for i in items) else sorted(items)[-1]


def _smallest(items: list[Any]) -> Any:
    if not items:
        return math.inf
    return math.nan if any(i != i for i in items) else sorted(items)[0]


def _any_nan(x: Any, **more: Any) -> set[str]:
    return {"undocumented"} if x.dtype.kind == "f" and np.isnan(x).any() else set()


def _of_nothing(x: Any, axes: tuple[int, ...] | None = None, **more: Any) -> set[str]:
    """The documentation leaves open what a reduction of no elements gives."""
    gone = x.shape if axes is None else [x.shape[a] for a in axes]
    return {"undocumented"} if 0 in gone else set()


def _nan_or_nothing(x: Any, **more: Any) -> set[str]:
    return _any_nan(x) | _of_nothing(x, **more)


def _product(items: list[Any]) -> Any:
    total: Any = 1
    for item in items:
        total *= item
    return total


def _mean(items: list[Any]) -> Any:
    if not items:
        return math.nan
    return int(sum(items) / len(items)) if isinstance(items[0], int) else sum(items) / len(items)


def _log(value: float) -> float:
    return math.nan if value < 0 else -math.inf if value == 0 else math.log(value)


def _log_sum_exp(items: list[float]) -> float:
    return _log(sum(math.inf if i == math.inf else math.exp(i) for i in items))


declare("reduce_sum", reduction(least=0, strict=True), reduced(sum), ulps=1, slack=0, kinds=_of_nothing)
declare("reduce_mean", reduction(), reduced(_mean), ulps=1, slack=0)
declare("reduce_max", reduction(), reduced(_largest), ulps=1, slack=0, kinds=_any_nan)
declare("reduce_min", reduction(), reduced(_smallest), ulps=1, slack=0, kinds=_any_nan)
declare("reduce_prod", reduction(FLOATS, 0.5, 1.5, least=0), reduced(_product), ulps=60, slack=0, kinds=_of_nothing)
declare(
    "reduce_l1_norm",
    reduction(least=0),
    reduced(lambda items: sum(abs(i) for i in items)),
    ulps=1,
    slack=0,
    kinds=_of_nothing,
)
declare(
    "reduce_l2_norm",
    reduction(FLOATS, least=0),
    reduced(lambda items: math.sqrt(sum(i * i for i in items))),
    ulps=1,
    slack=0,
    kinds=_of_nothing,
)
declare(
    "reduce_sum_square",
    reduction(least=0),
    reduced(lambda items: sum(i * i for i in items)),
    ulps=1,
    slack=0,
    kinds=_of_nothing,
)
declare("reduce_log_sum", reduction(FLOATS, -1, 4), reduced(lambda items: _log(sum(items))), ulps=4, slack=1)
declare("reduce_log_sum_exp", reduction(FLOATS), reduced(_log_sum_exp), ulps=4, slack=2)


def _index_calls(draw: Draw, rng: np.random.Generator) -> Call:
    dtype = draw(st.sampled_from(NUMBERS))
    shape = draw(shapes(1, 4, 1, 5))
    arguments: dict[str, Any] = {"x": values(rng, shape, dtype, -3, 3, draw(st.booleans()), grid=1)}  # with ties
    if draw(st.booleans()):
        arguments["axis"] = draw(axis_of(len(shape)))
    if draw(st.booleans()):
        arguments["keep_dims"] = draw(st.booleans())
    if draw(st.booleans()):
        arguments["output_dtype"] = pick(draw, "int32", "uint16")
    return Call(arguments, mode=pick(draw, "wide", "exact", "strict"))


def _extreme(sign: int) -> Callable[..., Any]:
    """The first index of the largest of sign * x."""

    def statement(x: Any, axis: int = -1, keep_dims: bool = False, output_dtype: str = "int32") -> Any:
        def first(items: list[Any]) -> int:
            nan = [i != i for i in items]
            if any(nan):  # the first NaN, in either direction
                return nan.index(True)
            ranked = [sign * i for i in items]
            return ranked.index(max(ranked))

        return reduced(first, np.dtype(output_dtype))(x, (axis,), keep_dims)

    return statement


def _not_the_only(largest: bool) -> Callable[..., set[str]]:
    """NaN, or another element as large (or small) as the one found."""

    def kinds(x: Any, axis: int = -1, **more: Any) -> set[str]:
        rows = np.moveaxis(x, axis, -1).reshape(-1, x.shape[axis]).tolist()
        ties = any(row.count(max(row) if largest else min(row)) > 1 for row in rows)
        return _any_nan(x) or ({"undocumented"} if ties else set())

    return kinds


declare("reduce_argmax", calls(_index_calls), _extreme(1), like=None, kinds=_not_the_only(True))
declare("reduce_argmin", calls(_index_calls), _extreme(-1), like=None, kinds=_not_the_only(False))
