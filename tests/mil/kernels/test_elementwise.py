"""Elementwise families against plain Python's `math` and statements of the documented formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest
from coremltools.converters.mil import Builder as mb

LADDER = np.array([-20.0, -3.5, -2.5, -1.0, -0.5, -1e-3, -0.0, 0.0, 1e-3, 0.5, 1.0, 2.5, 10.375, 20.0], np.float32)
POSITIVE = np.array([1e-3, 0.25, 1.0, 2.0, 10.5, 300.0], np.float32)
UNIT = np.array([-0.99, -0.5, 0.0, 0.25, 0.9], np.float32)

UNARY = {
    "abs": (LADDER, abs),
    "acos": (UNIT, math.acos),
    "asin": (UNIT, math.asin),
    "atan": (LADDER, math.atan),
    "atanh": (UNIT, math.atanh),
    "ceil": (LADDER, math.ceil),
    "cos": (LADDER, math.cos),
    "cosh": (LADDER, math.cosh),
    "erf": (LADDER, math.erf),
    "exp": (LADDER, math.exp),
    "exp2": (LADDER, lambda v: 2.0**v),
    "floor": (LADDER, math.floor),
    "round": (LADDER, round),  # Python's rounds half to even
    "sign": (LADDER, lambda v: (v > 0) - (v < 0)),
    "sin": (LADDER, math.sin),
    "sinh": (LADDER, math.sinh),
    "sqrt": (POSITIVE, math.sqrt),
    "square": (LADDER, lambda v: v * v),
    "tan": (UNIT, math.tan),
    "tanh": (LADDER, math.tanh),
    "relu": (LADDER, lambda v: max(v, 0.0)),
    "relu6": (LADDER, lambda v: min(max(v, 0.0), 6.0)),
    "sigmoid": (LADDER, lambda v: 1 / (1 + math.exp(-v))),
    "silu": (LADDER, lambda v: v / (1 + math.exp(-v))),
    "softplus": (LADDER, lambda v: math.log(1 + math.exp(v))),
    "softsign": (LADDER, lambda v: v / (1 + abs(v))),
}
PARAMETRIC = {
    "clamped_relu": ({"alpha": 0.5, "beta": 2.0}, lambda v: min(2.0, v if v >= 0 else 0.5 * v)),
    "elu": ({"alpha": 1.5}, lambda v: v if v > 0 else 1.5 * (math.exp(v) - 1)),
    "leaky_relu": ({"alpha": 0.25}, lambda v: v if v >= 0 else 0.25 * v),
    "linear_activation": ({"alpha": 2.0, "beta": -1.0}, lambda v: 2 * v - 1),
    "scaled_tanh": ({"alpha": 2.0, "beta": 0.5}, lambda v: 2 * math.tanh(0.5 * v)),
    "sigmoid_hard": ({"alpha": 0.25, "beta": 0.5}, lambda v: min(max(0.25 * v + 0.5, 0), 1)),
    "thresholded_relu": ({"alpha": 1.0}, lambda v: v if v >= 1 else 0.0),
    "clip": ({"alpha": -1.0, "beta": 2.0}, lambda v: min(max(v, -1.0), 2.0)),
    "threshold": ({"alpha": 0.5}, lambda v: max(v, 0.5)),
}
GELU = {
    "EXACT": lambda v: 0.5 * v * (1 + math.erf(v / math.sqrt(2))),
    "TANH_APPROXIMATION": lambda v: 0.5 * v * (1 + math.tanh(math.sqrt(2 / math.pi) * (v + 0.044715 * v**3))),
    "SIGMOID_APPROXIMATION": lambda v: v / (1 + math.exp(-1.702 * v)),
}


@pytest.mark.parametrize("name", UNARY)
def test_unary(bench, name):
    values, function = UNARY[name]
    bench.check(lambda x: getattr(mb, name)(x=x), {"x": values}, [function(float(v)) for v in values], rtol=3e-6)


@pytest.mark.parametrize("name", PARAMETRIC)
def test_parametric(bench, name):
    parameters, function = PARAMETRIC[name]
    expected = [function(float(v)) for v in LADDER]
    bench.check(
        lambda x: getattr(mb, name)(x=x, **{k: np.float32(v) for k, v in parameters.items()}), {"x": LADDER}, expected
    )


@pytest.mark.parametrize("mode", GELU)
def test_gelu(bench, mode):
    bench.check(lambda x: mb.gelu(x=x, mode=mode), {"x": LADDER}, [GELU[mode](float(v)) for v in LADDER])


def test_softplus_does_not_overflow(bench):
    x = np.array([-200.0, 0.0, 100.0, 1000.0], np.float32)
    bench.check(lambda x: mb.softplus(x=x), {"x": x}, [0.0, math.log(2), 100.0, 1000.0])


def test_epsilon_of_log_inverse_rsqrt(bench):
    x = np.array([0.0, 1.0, 4.0], np.float32)

    def build(x):
        return (
            mb.log(x=x, epsilon=np.float32(0.5)),
            mb.inverse(x=x, epsilon=np.float32(0.5)),
            mb.rsqrt(x=x, epsilon=np.float32(0.25)),
        )

    expected = (np.log(x + 0.5), 1 / (x + 0.5), 1 / np.sqrt(x + 0.25))
    bench.check(build, {"x": x}, *expected)


def test_prelu_and_softplus_parametric_run_along_channels(bench, rng):
    x = rng.standard_normal((2, 3, 4, 5), np.float32)
    alpha, beta = np.array([0.5, 1.0, 2.0], np.float32), np.array([1.0, -1.0, 0.5], np.float32)
    prelu, soft = np.empty_like(x), np.empty_like(x)
    for at in np.ndindex(*x.shape):
        v, c = float(x[at]), at[1]
        prelu[at] = v if v > 0 else alpha[c] * v
        soft[at] = alpha[c] * math.log(1 + math.exp(beta[c] * v))

    def build(x):
        return mb.prelu(x=x, alpha=alpha), mb.softplus_parametric(x=x, alpha=alpha, beta=beta)

    bench.check(build, {"x": x}, prelu, soft)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_softmax(bench, rng, axis):
    x = rng.standard_normal((2, 3, 4)).astype(np.float32) * 30
    e = np.exp(x.astype(np.float64))
    bench.check(lambda x: mb.softmax(x=x, axis=axis), {"x": x}, e / e.sum(axis, keepdims=True))


BINARY = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "real_div": lambda a, b: a / b,
    "floor_div": lambda a, b: math.floor(a / b),
    "mod": lambda a, b: a - b * math.floor(a / b),
    "maximum": max,
    "minimum": min,
    "equal": lambda a, b: a == b,
    "not_equal": lambda a, b: a != b,
    "greater": lambda a, b: a > b,
    "greater_equal": lambda a, b: a >= b,
    "less": lambda a, b: a < b,
    "less_equal": lambda a, b: a <= b,
}


def _outer(function, x, y):
    return np.array([[function(a, b) for b in y.reshape(-1).tolist()] for a in x.reshape(-1).tolist()])


@pytest.mark.parametrize("name", BINARY)
def test_binary_float(bench, name):
    x = np.array([[-3.5], [-1.0], [0.0], [0.5], [7.25]], np.float32)
    y = np.array([-2.0, -0.5, 0.5, 7.25], np.float32)
    bench.check(lambda x, y: getattr(mb, name)(x=x, y=y), {"x": x, "y": y}, _outer(BINARY[name], x, y))


@pytest.mark.parametrize("name", [n for n in BINARY if n != "real_div"])
def test_binary_integer(bench, name):
    x, y = np.array([[-7], [-1], [0], [3], [8]], np.int32), np.array([-3, -1, 2, 8], np.int32)
    bench.check(lambda x, y: getattr(mb, name)(x=x, y=y), {"x": x, "y": y}, _outer(BINARY[name], x, y))


def test_pow(bench):
    x, y = np.array([0.5, 2.0, 3.0, -2.0], np.float32), np.array([2.0, -1.0, 0.5, 3.0], np.float32)
    bench.check(lambda x, y: mb.pow(x=x, y=y), {"x": x, "y": y}, [0.25, 0.5, math.sqrt(3), -8.0])


@pytest.mark.parametrize(
    ("name", "table"), [("logical_and", [0, 0, 0, 1]), ("logical_or", [0, 1, 1, 1]), ("logical_xor", [0, 1, 1, 0])]
)
def test_logical(bench, name, table):
    x, y = np.array([0, 0, 1, 1], np.int32), np.array([0, 1, 0, 1], np.int32)

    def build(x, y):
        a, b = mb.cast(x=x, dtype="bool"), mb.cast(x=y, dtype="bool")
        return getattr(mb, name)(x=a, y=b), mb.logical_not(x=a)

    bench.check(build, {"x": x, "y": y}, table, [1, 1, 0, 0])


def test_cast_truncates_saturates_and_notes(bench):
    x = np.array([-2.75, -0.5, 0.5, 2.75, 3e9, -3e9, np.nan], np.float32)
    result = bench.run(lambda x: mb.cast(x=x, dtype="int32"), {"x": x})
    assert next(iter(result.outputs.values())).tolist() == [-2, 0, 0, 2, 2**31 - 1, -(2**31), 0]
    assert {d.kind for d in result.diagnostics} == {"nan_to_integer", "integer_overflow"}


@pytest.mark.parametrize(
    ("value", "got", "kinds"),
    [(-12, 65524, []), (-40000, 25536, ["integer_overflow"]), (65536, 0, ["integer_overflow"])],
)
def test_a_negative_integer_wraps_into_uint16(bench, value, got, kinds):
    def build(x):
        return mb.cast(x=mb.cast(x=x, dtype="uint16"), dtype="int32")

    result = bench.run(build, {"x": np.int32([7, value])})
    assert next(iter(result.outputs.values())).tolist() == [7, got]
    assert [d.kind for d in result.diagnostics] == kinds


def test_cast_to_bool_and_back(bench):
    x = np.array([-0.0, 0.0, 1e-6, -3.0], np.float32)
    bench.check(lambda x: mb.cast(x=mb.cast(x=x, dtype="bool"), dtype="fp32"), {"x": x}, [0, 0, 1, 1])


def test_integer_division_by_zero_is_noted(bench):
    x, y = np.array([5, -5], np.int32), np.array([0, 2], np.int32)
    result = bench.run(lambda x, y: mb.floor_div(x=x, y=y), {"x": x, "y": y})
    assert [d.kind for d in result.diagnostics] == ["integer_division_by_zero"]
    assert next(iter(result.outputs.values())).tolist()[1] == -3


def test_select_broadcasts(bench):
    cond, a, b = np.array([[1], [0]], np.int32), np.array([1.0, 2.0], np.float32), np.float32([[9, 8], [7, 6]])

    def build(cond, a, b):
        return mb.select(cond=mb.cast(x=cond, dtype="bool"), a=a, b=b)

    bench.check(build, {"cond": cond, "a": a, "b": b}, [[1.0, 2.0], [7.0, 6.0]])
