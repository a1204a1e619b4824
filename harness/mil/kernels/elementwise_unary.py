"""Elementwise unary operators. Shapes: any; the result has the shape of `x`.

Semantics: coremltools' documentation of `iOS15.elementwise_unary`, `iOS17.elementwise_unary`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from harness.mil.casting import as_torch
from harness.mil.casting import cast as cast_float
from harness.mil.context import INTEGER_OVERFLOW, NAN_TO_INTEGER, UNDOCUMENTED, Context
from harness.mil.kernels._common import nan_through
from harness.mil.registry import kernel
from harness.mil.types import Array, numpy_dtype

# Operators that are one numpy function: float in, float out (`abs`, `square`, `exp2` take int32 as well).
_PLAIN: dict[str, Callable[..., Any]] = {
    "abs": np.abs,
    "acos": np.arccos,
    "asin": np.arcsin,
    "atan": np.arctan,
    "atanh": np.arctanh,
    "ceil": np.ceil,
    "cos": np.cos,
    "cosh": np.cosh,
    "exp": np.exp,
    "exp2": np.exp2,
    "floor": np.floor,
    "round": np.rint,  # half to even: the documentation says that 0.5 becomes 0
    "sin": np.sin,
    "sinh": np.sinh,
    "sqrt": np.sqrt,
    "square": np.square,
    "tan": np.tan,
    "tanh": np.tanh,
}


def _register(name: str, function: Callable[..., Any]) -> None:
    @kernel(name)
    def plain(context: Context, x: Array) -> Array:
        return function(x)

    plain.__doc__ = f"`{name}(x)` element by element. fp16, fp32; int32 for abs, exp2 and square."


for _name, _function in _PLAIN.items():
    _register(_name, _function)


@kernel("sign")
def sign(context: Context, x: Array) -> Array:
    """-1, 0 or 1; of NaN, which is not documented, NaN. fp16, fp32, int32."""
    if x.dtype.kind == "f" and np.isnan(x).any():
        context.note(UNDOCUMENTED, "sign of NaN")
    return np.sign(x)


@kernel("erf")
def erf(context: Context, x: Array) -> Array:
    """Gauss error function. fp16, fp32."""
    return torch.erf(as_torch(x)).numpy()


@kernel("logical_not", raw=True)
def logical_not(context: Context, x: Array) -> Array:
    """NOT of a bool tensor."""
    return np.logical_not(x)


@kernel("inverse")
def inverse(context: Context, x: Array, epsilon: float | None = None) -> Array:
    """1 / (x + epsilon); epsilon is 1e-4 unless given. fp16, fp32."""
    return np.reciprocal(x + context.constant(1e-4, epsilon))


@kernel("log")
def log(context: Context, x: Array, epsilon: float | None = None) -> Array:
    """Natural logarithm of x + epsilon. fp16, fp32.

    The default of 1e-45 is given in the type of `x`: a denormal in fp32, where log(0) is then -103.28, and 0 in fp16.
    """
    return np.log(x + context.constant(1e-45, epsilon))


@kernel("rsqrt")
def rsqrt(context: Context, x: Array, epsilon: float | None = None) -> Array:
    """1 / sqrt(x + epsilon); epsilon is 1e-12 in the type of `x` (0 in fp16) unless given. fp16, fp32."""
    return 1 / np.sqrt(x + context.constant(1e-12, epsilon))


@kernel("clip")
def clip(context: Context, x: Array, alpha: float, beta: float) -> Array:
    """min(max(x, alpha), beta). fp16, fp32. iOS17 requires alpha < beta; the converter checks it, so do not we."""
    result = np.clip(x, alpha, beta)
    return nan_through(
        context, result, lambda: np.where(np.isnan(x), alpha, result), lambda: np.where(np.isnan(x), beta, result)
    )


@kernel("threshold")
def threshold(context: Context, x: Array, alpha: float) -> Array:
    """max(x, alpha). fp16, fp32, int32."""
    return nan_through(context, np.maximum(x, alpha), lambda: np.fmax(x, alpha))


@kernel("cast", raw=True)
def cast(context: Context, x: Array, dtype: str) -> Array:
    """`x` as another type: int8, uint8, int16, uint16 (iOS17), int32, fp16, fp32, bool.

    Not documented, our choice: float to integer truncates towards zero, and what does not fit saturates, NaN
    becoming 0, as the conversion instructions of Apple's processors do; both are noted. Integers that do not fit
    wrap around, which is noted but for int16 to uint16: Core ML is reported to make 65524 of -12
    (github.com/apple/coremltools/pull/2626). bool is x != 0, so NaN is true.
    """
    return convert(context, x, context.stored(numpy_dtype(dtype)))


def convert(context: Context, x: Array, target: np.dtype[Any]) -> Array:
    """`cast` to a numpy type."""
    if target.kind == "b":
        return np.asarray(x != 0)
    if target.kind not in "iu" or x.dtype.kind == "b":
        return cast_float(x, target)
    limits = np.iinfo(target)
    if x.dtype.kind == "f":
        wide = x.astype(np.float64)
        nan = np.isnan(wide)
        if nan.any():
            context.note(NAN_TO_INTEGER, f"{int(nan.sum())} NaN cast to {target}", nan)
            wide = np.where(nan, 0, wide)
        whole = np.trunc(wide)
        fits = (whole >= limits.min) & (whole <= limits.max)
        if not fits.all():
            detail = f"{int((~fits).sum())} values do not fit {target}, for example {x[~fits][0]}"
            context.note(INTEGER_OVERFLOW, detail, ~fits)
        return np.clip(whole, limits.min, limits.max).astype(target)
    lowest = -(2**15) if target == np.uint16 else limits.min
    if x.size and (int(x.min()) < lowest or int(x.max()) > limits.max):
        context.note(INTEGER_OVERFLOW, f"{x.dtype} values do not fit {target}", (x < lowest) | (x > limits.max))
    return x.astype(target)
