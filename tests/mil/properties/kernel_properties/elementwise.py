"""Properties of `elementwise_unary`, `elementwise_binary` and `select`: Python's own arithmetic on every element."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
from hypothesis import strategies as st
from kernel_properties.draw import (
    ANY,
    BOOL,
    FLOATS,
    FP16,
    FP32,
    INT32,
    NUMBERS,
    Draw,
    built,
    calls,
    modes,
    pick,
    pointwise,
    shapes,
    values,
)
from kernel_properties.table import Call, declare

# --- unary


def unary(
    low: float = -10, high: float = 10, dtypes: tuple[Any, ...] = FLOATS, grid: int | None = None, **optional: list[Any]
) -> st.SearchStrategy[Call]:
    def make(draw: Draw, rng: np.random.Generator) -> Call:
        dtype = draw(st.sampled_from(dtypes))
        step = pick(draw, 8, 0) if grid is None else grid
        x = values(rng, draw(shapes(least=0)), dtype, low, high, special=draw(st.booleans()), grid=step)
        arguments: dict[str, Any] = {"x": x}
        for name, choices in optional.items():
            choice = draw(st.sampled_from(choices))
            if choice is not None:
                arguments[name] = choice
        return Call(arguments, mode=draw(modes(dtype)))

    return calls(make)


def each(function: Callable[[float], float]) -> Callable[..., Any]:
    return lambda x: pointwise(function, x)


def whole(convert: Callable[[float], int]) -> Callable[[float], float]:
    """A rounding of finite values that keeps the sign of zero; infinities and NaN stay."""
    return lambda v: math.copysign(convert(v), v) if math.isfinite(v) else v


def saturated(function: Callable[[float], float]) -> Callable[[float], float]:
    """An odd function whose overflow has the sign of its argument."""

    def apply(v: float) -> float:
        try:
            return function(v)
        except OverflowError:
            return math.copysign(math.inf, v)

    return apply


def nan_kind(*names: str) -> Callable[..., set[str]]:
    """NaN among the named arguments is noted as undocumented."""
    return lambda **arguments: {
        "undocumented" for n in names if arguments[n].dtype.kind == "f" and np.isnan(arguments[n]).any()
    }


declare("abs", unary(dtypes=NUMBERS), each(math.fabs))
declare("ceil", unary(), each(whole(math.ceil)))
declare("floor", unary(), each(whole(math.floor)))
declare("round", unary(), each(whole(lambda v: round(v))))  # Python's round is half to even too
declare(
    "sign",
    unary(dtypes=NUMBERS),
    each(lambda v: v if v != v else (v > 0) - (v < 0)),
    ulps=1,
    slack=0,
    kinds=nan_kind("x"),
)
declare("square", unary(dtypes=NUMBERS), each(lambda v: v * v))
declare("sqrt", unary(), each(lambda v: v if v == 0 else math.sqrt(v)), ulps=1, slack=0)
declare("exp", unary(), each(math.exp), ulps=2, slack=0)
declare("exp2", unary(), each(lambda v: 2.0**v), ulps=2, slack=0)
declare("acos", unary(-1.2, 1.2), each(math.acos), ulps=2)
declare("asin", unary(-1.2, 1.2), each(math.asin), ulps=2, slack=1)
declare("atan", unary(), each(math.atan), ulps=2, slack=0)
declare(
    "atanh",
    unary(-1.2, 1.2),
    each(lambda v: math.copysign(math.inf, v) if abs(v) == 1 else math.atanh(v)),
    ulps=4,
    slack=1,
)
for _name in ("cos", "sin", "tanh", "erf"):
    declare(_name, unary(), each(getattr(math, _name)), ulps=4, slack=2)
declare("tan", unary(-1.5, 1.5), each(math.tan), ulps=4, slack=2)
declare("cosh", unary(), each(math.cosh), ulps=4, slack=0)
declare("sinh", unary(), each(saturated(math.sinh)), ulps=4, slack=2)
declare(
    "logical_not",
    unary(dtypes=(BOOL,)),
    lambda x: built(x.shape, bool, lambda at: not x[at]),
    like=None,
)


def _epsilon(x: Any, default: float, given: float | None) -> float:
    """The constant in the type of `x`."""
    return float(np.asarray(default if given is None else given, x.dtype))


def _inverse(v: float) -> float:
    return math.inf if v == 0 else 1 / v


def _log(v: float) -> float:
    return -math.inf if v == 0 else math.log(v)


def _rsqrt(v: float) -> float:
    return math.inf if v == 0 else 1 / math.sqrt(v)


def _with_epsilon(function: Callable[[float], float], default: float) -> Callable[..., Any]:
    return lambda x, epsilon=None: pointwise(lambda v: function(v + _epsilon(x, default, epsilon)), x)


declare("inverse", unary(epsilon=[None, 0.5], grid=8), _with_epsilon(_inverse, 1e-4), ulps=4)
declare("log", unary(-1, 10, epsilon=[None, 0.5], grid=8), _with_epsilon(_log, 1e-45), ulps=4)
declare("rsqrt", unary(-1, 10, epsilon=[None, 0.5], grid=8), _with_epsilon(_rsqrt, 1e-12), ulps=4)


def _maximum(a: float, b: float) -> float:
    return math.nan if a != a or b != b else a if a > b else b


def _minimum(a: float, b: float) -> float:
    return -_maximum(-a, -b)


declare(
    "clip",
    unary(alpha=[-1.5, 0.0], beta=[0.5, 4.0]).filter(lambda c: {"alpha", "beta"} <= c.arguments.keys()),
    lambda x, alpha, beta: pointwise(lambda v: _minimum(_maximum(v, alpha), beta), x),
    ulps=1,
    slack=0,
    kinds=nan_kind("x"),
)
declare(
    "threshold",
    unary(alpha=[-2.0, 0.0, 3.0], dtypes=NUMBERS),
    lambda x, alpha: pointwise(lambda v: _maximum(v, alpha), x),
    ulps=1,
    slack=0,
    kinds=nan_kind("x"),
)

# --- cast

_TARGETS = {"fp16": FP16, "fp32": FP32, "int32": INT32, "bool": BOOL} | {
    n: np.dtype(n) for n in ("int8", "uint8", "int16", "uint16")
}


def _cast_calls(draw: Draw, rng: np.random.Generator) -> Call:
    dtype = draw(st.sampled_from(ANY))
    reach = pick(draw, 3, 200, 70_000, 3e9 if dtype == FP32 else 70_000)
    high = min(reach, np.iinfo(dtype).max) if dtype.kind in "iu" else reach
    x = values(rng, draw(shapes(0, 3, 0)), dtype, -reach, high, special=draw(st.booleans()))
    return Call({"x": x, "dtype": draw(st.sampled_from(sorted(_TARGETS)))})


def _cast(x: Any, dtype: str) -> Any:
    """To integers: truncated and saturated from floats, NaN to 0; modulo 2^bits from integers."""
    target = _TARGETS[dtype]

    def element(at: tuple[int, ...]) -> Any:
        v = x[at].item()
        if target.kind == "b":
            return v != 0
        if target.kind == "f":
            return target.type(v)
        limits = np.iinfo(target)
        if isinstance(v, float):
            if v != v:
                return 0
            return limits.max if v >= limits.max else limits.min if v <= limits.min else int(v)
        size = 2**limits.bits
        wrapped = v % size
        return wrapped - size if wrapped > limits.max else wrapped

    return built(x.shape, target, element)


declare("cast", calls(_cast_calls), _cast, like=None)

# --- binary


def _broadcast_pair(draw: Draw) -> tuple[tuple[int, ...], tuple[int, ...]]:
    whole_shape = draw(shapes(0, 4, 0, 3))

    def operand() -> tuple[int, ...]:
        kept = tuple(s if draw(st.booleans()) else 1 for s in whole_shape)
        return kept[draw(st.integers(0, len(kept))) :] if draw(st.booleans()) else kept

    return operand(), operand()


def binary(
    dtypes: tuple[Any, ...], low: float = -10, high: float = 10, special: bool = True, grid: int | None = None, **y: Any
) -> st.SearchStrategy[Call]:
    """Two operands that broadcast; `y` may narrow the range of the second (`y_low`, `y_high`)."""

    def make(draw: Draw, rng: np.random.Generator) -> Call:
        dtype = draw(st.sampled_from(dtypes))
        first, second = _broadcast_pair(draw)
        step = pick(draw, 8, 0) if grid is None else grid
        odd = special and draw(st.booleans())
        a = values(rng, first, dtype, low, high, odd, step)
        b = values(rng, second, dtype, y.get("y_low", low), y.get("y_high", high), odd, step)
        constant = frozenset(draw(st.sampled_from(("", "x", "y"))))
        return Call({"x": a, "y": b}, mode=draw(modes(dtype)), constant=constant)

    return calls(make)


def exactly(function: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """Float operands through Python floats; integers through Python integers, then modulo 2^32."""

    def statement(x: Any, y: Any) -> Any:
        if x.dtype.kind == "f":
            return pointwise(function, x, y)
        a, b = np.broadcast_arrays(x, y)
        return built(a.shape, np.int64, lambda at: (function(int(a[at]), int(b[at])) + 2**31) % 2**32 - 2**31)

    return statement


def _of_result(extremum: Callable[[Any, Any], Any]) -> Callable[..., set[str]]:
    """NaN in the result (broadcasting over nothing leaves none of an operand's)."""
    return lambda x, y, **more: {"undocumented"} if x.dtype.kind == "f" and np.isnan(extremum(x, y)).any() else set()


_WRAPPING = st.sampled_from((10, 2**31 - 1)).flatmap(
    lambda reach: binary(NUMBERS if reach == 10 else (INT32,), -reach, reach)
)
declare("add", _WRAPPING, exactly(lambda a, b: a + b))
declare("sub", _WRAPPING, exactly(lambda a, b: a - b))
declare("mul", _WRAPPING, exactly(lambda a, b: a * b))
declare("maximum", binary(NUMBERS), exactly(_maximum), ulps=1, slack=0, kinds=_of_result(np.maximum))
declare("minimum", binary(NUMBERS), exactly(_minimum), ulps=1, slack=0, kinds=_of_result(np.minimum))

_COMPARED: dict[str, Callable[[Any, Any], bool]] = {
    "equal": lambda a, b: a == b,
    "not_equal": lambda a, b: a < b or a > b or a != a or b != b,
    "greater": lambda a, b: a > b,
    "greater_equal": lambda a, b: a > b or a == b,
    "less": lambda a, b: b > a,
    "less_equal": lambda a, b: b > a or a == b,
}
_TRUTH: dict[str, Callable[[Any, Any], bool]] = {
    "logical_and": lambda a, b: b if a else False,
    "logical_or": lambda a, b: True if a else b,
    "logical_xor": lambda a, b: not b if a else b,
}


def decided(function: Callable[[Any, Any], bool]) -> Callable[..., Any]:
    def statement(x: Any, y: Any) -> Any:
        a, b = np.broadcast_arrays(x, y)
        return built(a.shape, bool, lambda at: function(a[at].item(), b[at].item()))

    return statement


for _name, _compare in _COMPARED.items():
    declare(_name, binary(NUMBERS, -2, 2, grid=1), decided(_compare), like=None)
for _name, _combine in _TRUTH.items():
    declare(_name, binary((BOOL,)), decided(_combine), like=None)


def _signed_infinity(a: float, b: float) -> float:
    """a / 0."""
    if a == 0 or a != a:
        return math.nan
    return math.copysign(math.inf, math.copysign(1, a) * math.copysign(1, b))


def _real_div(a: Any, b: Any) -> Any:
    if isinstance(a, int):
        return 0 if b == 0 else int(Fraction(a, b))  # int() truncates
    return _signed_infinity(a, b) if b == 0 else a / b


def _floor_div(a: Any, b: Any) -> Any:
    if b == 0:
        return 0 if isinstance(a, int) else _signed_infinity(a, b)
    if math.isfinite(a) and math.isfinite(b):
        return math.floor(Fraction(a) / Fraction(b))
    return a // b


def _mod(a: Any, b: Any) -> Any:
    if b == 0:
        return 0 if isinstance(a, int) else math.nan
    if not (math.isfinite(a) and math.isfinite(b)):
        return a % b
    return Fraction(a) - Fraction(b) * math.floor(Fraction(a) / Fraction(b))


def _power(a: Any, b: Any) -> Any:
    if isinstance(a, int):
        if b >= 0:
            return a**b
        return 0 if a == 0 else int(Fraction(a) ** b)
    if a == 0 and b < 0 and math.isfinite(b):  # where Python raises
        odd = b == int(b) and int(b) % 2
        return math.copysign(math.inf, a) if odd else math.inf
    try:
        return math.pow(a, b)
    except OverflowError:
        return -math.inf if a < 0 and int(b) % 2 else math.inf


def _left_open(differs: Callable[[float, float], bool]) -> Callable[..., set[str]]:
    """Zero divisors of integers, and floats of which Python and the formula of the operator say different things."""

    def kinds(x: Any, y: Any, **more: Any) -> set[str]:
        pairs = np.broadcast(x, y)
        floats = x.dtype.kind == "f" and any(differs(float(a), float(b)) for a, b in pairs)
        return _zero_divisors(x, y) | ({"undocumented"} if floats else set())

    return kinds


def _floor_div_differs(a: float, b: float) -> bool:
    if math.isinf(a):
        return math.isfinite(b) and b != 0
    return math.isinf(b) and math.isfinite(a) and a != 0 and (a < 0) != (b < 0)


def _zero_divisors(x: Any, y: Any, **more: Any) -> set[str]:
    return {"integer_division_by_zero"} if x.dtype.kind == "i" and (y == 0).any() else set()


declare(
    "real_div",
    binary(NUMBERS),
    exactly(_real_div),
    kinds=lambda x, y, **more: _zero_divisors(x, y) | ({"undocumented"} if x.dtype.kind == "i" else set()),
)
_MOD_DIFFERS = _left_open(lambda a, b: math.isfinite(a) and math.isinf(b))
declare("floor_div", binary(NUMBERS), exactly(_floor_div), ulps=1, slack=0, kinds=_left_open(_floor_div_differs))
declare("mod", binary(NUMBERS), exactly(_mod), ulps=1, slack=1, kinds=_MOD_DIFFERS)
declare("pow", binary(NUMBERS, -5, 5, y_low=-3, y_high=8), exactly(_power), ulps=4, slack=0)

# --- select


def _select_calls(draw: Draw, rng: np.random.Generator) -> Call:
    dtype = draw(st.sampled_from(ANY))
    first, second = _broadcast_pair(draw)
    low = 0 if dtype.kind == "u" else -10
    a, b = values(rng, first, dtype, low, 10, True), values(rng, second, dtype, low, 10, True)
    condition = values(rng, pick(draw, first, second, ()), BOOL)
    return Call({"cond": condition, "a": a, "b": b}, mode=pick(draw, "wide", "exact", "strict"))


def _select(cond: Any, a: Any, b: Any) -> Any:
    c, one, other = np.broadcast_arrays(cond, a, b)
    return built(c.shape, a.dtype, lambda at: one[at] if c[at] else other[at])


declare("select", calls(_select_calls), _select, like="a")
