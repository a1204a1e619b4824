"""Strategies of shapes, arrays and calls. Values come from a drawn seed: a few examples then see a lot of them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
from hypothesis import strategies as st
from kernel_properties.table import Call

FP16, FP32, INT32, BOOL = (np.dtype(t) for t in (np.float16, np.float32, np.int32, np.bool_))
FLOATS = (FP32, FP16)
NUMBERS = (FP32, FP16, INT32)
ANY = (FP32, FP16, INT32, BOOL, np.dtype(np.int8), np.dtype(np.uint16))
SPECIAL = (np.nan, np.inf, -np.inf, -0.0, 0.0, 1.0, -1.0, 6e-8)

Draw = Callable[[st.SearchStrategy[Any]], Any]


def values(
    rng: np.random.Generator,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    low: float = -10,
    high: float = 10,
    special: bool = False,
    grid: int = 8,
) -> Any:
    """An array in [low, high]: floats are multiples of 1 / grid (sums of them are exact) or, with grid 0, any."""
    if dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(bool)
    if dtype.kind in "iu":
        return rng.integers(max(int(low), np.iinfo(dtype).min), int(high) + 1, shape).astype(dtype)
    if grid:
        drawn = rng.integers(round(low * grid), round(high * grid) + 1, shape) / grid
    else:
        drawn = rng.uniform(low, high, shape)
    if special:
        drawn = np.where(rng.random(shape) < 0.3, rng.choice(SPECIAL, shape), drawn)
    with np.errstate(over="ignore"):
        return np.asarray(drawn).astype(dtype)


def generators() -> st.SearchStrategy[np.random.Generator]:
    return st.integers(0, 2**32 - 1).map(np.random.default_rng)


def shapes(low: int = 0, high: int = 4, least: int = 1, most: int = 4) -> st.SearchStrategy[tuple[int, ...]]:
    """Of `low` to `high` dimensions of `least` to `most`; with `least` 0 a quarter of them may be empty."""
    full = st.lists(st.integers(max(least, 1), most), min_size=low, max_size=high).map(tuple)
    if least:
        return full
    empty = st.lists(st.integers(0, most), min_size=low, max_size=high).map(tuple)
    return st.integers(0, 3).flatmap(lambda n: empty if n == 0 else full)


def modes(dtype: np.dtype[Any] = FP32) -> st.SearchStrategy[str]:
    """The modes whose results a statement in float64, rounded once, describes."""
    return st.sampled_from(("wide", "exact")) if dtype.kind == "f" else st.just("wide")


def axes_of(rank: int, least: int = 0) -> st.SearchStrategy[tuple[int, ...]]:
    """Distinct axes, some counted from the end."""
    sets = st.lists(st.integers(0, rank - 1), unique=True, min_size=least, max_size=rank) if rank else st.just([])
    return sets.flatmap(lambda s: st.tuples(*(st.sampled_from((a, a - rank)) for a in s)))


def axis_of(rank: int) -> st.SearchStrategy[int]:
    return st.integers(-rank, rank - 1)


def calls(make: Callable[[Draw, np.random.Generator], Call | dict[str, Any]]) -> st.SearchStrategy[Call]:
    """A strategy from a function of `draw` and a generator that returns a call, or the arguments of one."""

    @st.composite
    def build(draw: Draw) -> Call:
        made = make(draw, draw(generators()))
        return made if isinstance(made, Call) else Call(made)

    return build()


def pick(draw: Draw, *choices: Any) -> Any:
    return draw(st.sampled_from(choices))


def some(draw: Draw, **options: Any) -> dict[str, Any]:
    """Each of the optional arguments or not; an option that is a tuple of alternatives `[a, b]` gives one of them."""
    chosen = {}
    for name, value in options.items():
        if draw(st.booleans()):
            chosen[name] = draw(st.sampled_from(value)) if isinstance(value, list) else value
    return chosen


def built(shape: tuple[int, ...], dtype: Any, element: Callable[[tuple[int, ...]], Any]) -> Any:
    """The array whose element at each index is `element(index)`."""
    result = np.empty(shape, dtype)
    for at in product(*map(range, shape)):
        result[at] = element(at)
    return result


def pointwise(function: Callable[..., float], *arrays: Any) -> Any:
    """`function` of Python floats, element by element, with broadcasting; outside of its domain NaN, where it
    overflows infinity."""
    spread = np.broadcast_arrays(*arrays)
    result = np.empty(spread[0].shape, np.float64)
    for at in np.ndindex(*result.shape):
        try:
            result[at] = function(*(float(a[at]) for a in spread))
        except ValueError:
            result[at] = np.nan
        except OverflowError:
            result[at] = np.inf
    return result
