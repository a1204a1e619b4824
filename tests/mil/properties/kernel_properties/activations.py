"""Properties of `activation`: the documented formulas in Python floats."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st
from kernel_properties.draw import FLOATS, Draw, axis_of, built, calls, modes, pointwise, shapes, values
from kernel_properties.elementwise import each, nan_kind, unary
from kernel_properties.table import Call, declare


def _sigmoid(v: float) -> float:
    return 1 / (1 + math.exp(-v)) if v > -700 or v != v else 0.0


def _softplus(v: float) -> float:
    return v if v > 700 else math.log1p(math.exp(v))


def _times(a: float, b: float) -> float:
    return a * b


def _leaky(v: float, alpha: float) -> float:
    return v * alpha if v < 0 else v


def _upper(v: float, limit: float) -> float:
    return v if v != v or v < limit else limit


def _lower(v: float, limit: float) -> float:
    return v if v != v or v > limit else limit


def _with(function: Callable[..., float]) -> Callable[..., Any]:
    """A formula of the element and of the keyword arguments."""
    return lambda x, **parameters: pointwise(lambda v: function(v, **parameters), x)


def _gelu(v: float, mode: str = "EXACT") -> float:
    if mode == "EXACT":
        return 0.5 * v * (1 + math.erf(v / math.sqrt(2)))
    if mode == "TANH_APPROXIMATION":
        return 0.5 * v * (1 + math.tanh(math.sqrt(2 / math.pi) * (v + 0.044715 * v**3)))
    return v * _sigmoid(1.702 * v)


_ALPHA = [0.25, -0.5, 2.0]

declare("relu", unary(), each(lambda v: _lower(v, 0)), ulps=1, slack=0, kinds=nan_kind("x"))
declare("relu6", unary(), each(lambda v: _upper(_lower(v, 0), 6)), ulps=1, slack=0, kinds=nan_kind("x"))
declare("sigmoid", unary(-20, 20), each(_sigmoid), ulps=4, slack=0.1)
declare("silu", unary(-20, 20), each(lambda v: v * _sigmoid(v)), ulps=4, slack=0.1)
declare("softplus", unary(-20, 20), each(_softplus), ulps=4, slack=0.1)
declare("softsign", unary(), each(lambda v: v / (1 + abs(v))), ulps=2, slack=0)
declare("elu", unary(alpha=[None, 0.5, 2.0]), _with(lambda v, alpha=1.0: v if v > 0 else alpha * math.expm1(v)), ulps=4)
declare("gelu", unary(mode=[None, "EXACT", "TANH_APPROXIMATION", "SIGMOID_APPROXIMATION"]), _with(_gelu), ulps=4)
declare("leaky_relu", unary(alpha=[None, *_ALPHA]), _with(lambda v, alpha=0.01: _leaky(v, alpha)), ulps=2, slack=1)
declare(
    "clamped_relu",
    unary(alpha=_ALPHA, beta=[-1.0, 0.5, 3.0]),
    _with(lambda v, alpha, beta: _upper(_leaky(v, alpha), beta)),
    ulps=1,
)
declare(
    "linear_activation",
    unary(alpha=_ALPHA, beta=[None, 1.5]),
    _with(lambda v, alpha, beta=0.0: alpha * v + beta),
    ulps=1,
)
declare(
    "scaled_tanh",
    unary(alpha=_ALPHA, beta=[0.5, 1.5]),
    _with(lambda v, alpha, beta: alpha * math.tanh(beta * v)),
    ulps=4,
)
declare(
    "sigmoid_hard",
    unary(alpha=[None, 0.5], beta=[None, 0.25]),
    _with(lambda v, alpha=0.2, beta=0.5: _lower(_upper(alpha * v + beta, 1), 0)),
    ulps=2,
)
declare(
    "thresholded_relu",
    unary(alpha=[None, -2.0, 1.0, 2.5]),
    _with(lambda v, alpha=1.0: v if v >= alpha else 0),
    ulps=1,
    kinds=nan_kind("x"),
)


def _channel_calls(*parameters: str) -> st.SearchStrategy[Call]:
    def make(draw: Draw, rng: np.random.Generator) -> Call:
        dtype = draw(st.sampled_from(FLOATS))
        shape = draw(shapes(3, 5, 1, 3))
        arguments = {"x": values(rng, shape, dtype, special=draw(st.booleans()))}
        arguments |= {p: values(rng, (shape[1],), dtype, -2, 2) for p in parameters}
        return Call(arguments, mode=draw(modes(dtype)), constant=frozenset(parameters if draw(st.booleans()) else ()))

    return calls(make)


def _by_channel(function: Callable[..., float]) -> Callable[..., Any]:
    def statement(x: Any, **parameters: Any) -> Any:
        def element(at: tuple[int, ...]) -> float:
            return function(float(x[at]), *(float(p[at[1]]) for p in parameters.values()))

        return built(x.shape, np.float64, element)

    return statement


declare("prelu", _channel_calls("alpha"), _by_channel(lambda v, alpha: v if v > 0 else alpha * v), ulps=1, slack=0)
declare(
    "softplus_parametric",
    _channel_calls("alpha", "beta"),
    _by_channel(lambda v, alpha, beta: alpha * _softplus(beta * v)),
    ulps=4,
)


def _softmax_calls(draw: Draw, rng: np.random.Generator) -> Call:
    dtype = draw(st.sampled_from(FLOATS))
    shape = draw(shapes(1, 4, 0, 4))
    x = values(rng, shape, dtype, special=False, grid=0)
    if draw(st.booleans()):
        x[..., :1] = draw(st.sampled_from((-np.inf, np.nan)))
    arguments = {"x": x}
    if draw(st.booleans()):
        arguments["axis"] = draw(axis_of(len(shape)))
    return Call(arguments, mode=draw(modes(dtype)))


def _softmax(x: Any, axis: int = -1) -> Any:
    def element(at: tuple[int, ...]) -> float:
        others = list(at)
        total = 0.0
        for i in range(x.shape[axis]):
            others[axis] = i
            total += math.exp(float(x[tuple(others)]))
        part = math.exp(float(x[at]))
        return part / total if total else math.nan

    return built(x.shape, np.float64, element)


declare("softmax", calls(_softmax_calls), _softmax, ulps=4, slack=1)
