"""Elementwise binary operators with numpy broadcasting. `x` and `y` have one data type.

Semantics: coremltools' documentation of `iOS15.elementwise_binary`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from harness.mil.context import DIVISION_BY_ZERO, UNDOCUMENTED, Context
from harness.mil.kernels._common import nan_through
from harness.mil.registry import kernel
from harness.mil.types import Array

_SAME = ("x", "y")

# Integers wrap around on overflow.
_ARITHMETIC: dict[str, Callable[..., Any]] = {"add": np.add, "sub": np.subtract, "mul": np.multiply}
_COMPARISON: dict[str, Callable[..., Any]] = {
    "equal": np.equal,
    "not_equal": np.not_equal,
    "greater": np.greater,
    "greater_equal": np.greater_equal,
    "less": np.less,
    "less_equal": np.less_equal,
}
_LOGICAL: dict[str, Callable[..., Any]] = {
    "logical_and": np.logical_and,
    "logical_or": np.logical_or,
    "logical_xor": np.logical_xor,
}
#: Each with what gives the number where the other operand is NaN.
_EXTREMUM: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "maximum": (np.maximum, np.fmax),
    "minimum": (np.minimum, np.fmin),
}


def _register(name: str, function: Callable[..., Any], raw: bool, what: str) -> None:
    @kernel(name, raw=raw, same=_SAME)
    def binary(context: Context, x: Array, y: Array) -> Array:
        return function(x, y)

    binary.__doc__ = f"`{name}(x, y)`: {what}."


for _name, _function in _ARITHMETIC.items():
    _register(_name, _function, False, "fp16, fp32, int32")
for _name, _function in _COMPARISON.items():
    _register(_name, _function, True, "fp16, fp32, int32 to bool; NaN compares false except for not_equal")
for _name, _function in _LOGICAL.items():
    _register(_name, _function, True, "bool to bool")


def _register_extremum(name: str, function: Callable[..., Any], ignoring: Callable[..., Any]) -> None:
    @kernel(name, same=_SAME)
    def extremum(context: Context, x: Array, y: Array) -> Array:
        return nan_through(context, function(x, y), lambda: ignoring(x, y))

    extremum.__doc__ = f"`{name}(x, y)`. fp16, fp32, int32. NaN in either argument is propagated (undocumented)."


for _name, (_function, _ignoring) in _EXTREMUM.items():
    _register_extremum(_name, _function, _ignoring)


def _integer_divisor(context: Context, y: Array) -> Array:
    """`y` with 1 in place of 0; the caller overwrites those results. Notes the division by zero."""
    zero = y == 0
    if zero.any():
        context.note(DIVISION_BY_ZERO, f"{int(zero.sum())} zero divisors")
        return np.where(zero, np.ones((), y.dtype), y)
    return y


@kernel("real_div", same=_SAME)
def real_div(context: Context, x: Array, y: Array) -> Array:
    """x / y. fp16, fp32; int32 is allowed and left undocumented: we truncate towards zero, and give 0 for x / 0."""
    if x.dtype.kind == "f":
        return np.divide(x, y)
    quotient = np.divide(x, _integer_divisor(context, y), dtype=np.float64)
    whole = np.asarray(np.where(y == 0, 0, np.trunc(quotient)))
    return context.read("integer real_div", whole, lambda: np.where(y == 0, 0, np.floor(quotient)))


@kernel("floor_div", same=_SAME)
def floor_div(context: Context, x: Array, y: Array) -> Array:
    """x / y rounded towards negative infinity: the floor of the exact quotient. fp16, fp32, int32.

    x / 0 of floats is the infinity, or NaN, that x / y is; of integers it is undocumented, and 0 here. With an infinite
    operand the floor of x / y and Python's `//`, by which coremltools folds constants, differ (inf // 2 is NaN,
    -1 // inf is -1), which is undocumented: we give what `//` does, and PyTorch with it."""
    if x.dtype.kind == "f":
        result = np.floor_divide(x, y)
        infinite = np.isinf(x) | np.isinf(y)
        if infinite.any():
            floor = np.floor(np.divide(x, y))
            if (infinite & (result != floor) & ~np.isnan(floor)).any():
                context.note(UNDOCUMENTED, "floor_div of or by an infinity")
        return result
    return np.where(y == 0, np.zeros((), x.dtype), np.floor_divide(x, _integer_divisor(context, y)))


@kernel("mod", same=_SAME)
def mod(context: Context, x: Array, y: Array) -> Array:
    """x - y * floor(x / y): the sign is that of `y`, as in Python. fp16, fp32, int32.

    The documentation says `x % y` and no more. By 0 it is NaN for floats, as the formula gives it. Undocumented: by 0
    for integers, where Python raises, 0 here; by an infinity, where the formula gives NaN and Python x or the infinity
    of the sign of y: we give what Python does, and PyTorch with it."""
    if x.dtype.kind == "f":
        if (np.isinf(y) & np.isfinite(x)).any():
            context.note(UNDOCUMENTED, "mod by an infinity")
        return np.mod(x, y)
    return np.where(y == 0, np.zeros((), x.dtype), np.mod(x, _integer_divisor(context, y)))


@kernel("pow", same=_SAME)
def power(context: Context, x: Array, y: Array) -> Array:
    """x to the power y. fp16, fp32, int32; a negative integer power is undocumented, we truncate towards zero."""
    if x.dtype.kind == "f":
        return np.power(x, y)
    if (np.asarray(y) < 0).any():
        context.note(UNDOCUMENTED, "negative integer power")
        return np.trunc(np.nan_to_num(np.power(x.astype(np.float64), y), posinf=0, neginf=0))
    return np.power(x, y)
