"""Sums of products: linear, conv, pool, normalization, reduction, transformers, recurrent; loops in plain Python."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from coremltools.converters.mil import Builder as mb

from harness.mil import Description, Function, Model, Operation, Program, TensorType
from harness.mil.program import Block, Literal, NamedType
from harness.mil.types import name_of

TOLERANCE = {"rtol": 2e-5, "atol": 2e-5}


def test_linear_matmul_einsum(bench, rng):
    x, w, b = (rng.standard_normal(s, np.float32) for s in ((2, 3, 4), (5, 4), (5,)))
    y, z = rng.standard_normal((4, 3), np.float32), rng.standard_normal((1, 4, 3, 2), np.float32)
    q = rng.standard_normal((2, 6, 3, 4), np.float32)

    def build(x, y, q, z):
        return (
            mb.linear(x=x, weight=w, bias=b),
            mb.matmul(x=x, y=y),
            mb.matmul(x=x, y=y, transpose_x=True, transpose_y=True),
            mb.einsum(values=(q, z), equation="nchw,nwhu->nchu"),
        )

    linear = np.array([[[sum(r[k] * w[o, k] for k in range(4)) + b[o] for o in range(5)] for r in m] for m in x])
    einsum = np.zeros((2, 6, 3, 2))
    for n, c, h, u in np.ndindex(*einsum.shape):
        einsum[n, c, h, u] = sum(float(q[n, c, h, k]) * z[0, k, h, u] for k in range(4))
    transposed = np.array([[[sum(m[k, i] * y[j, k] for k in range(3)) for j in range(4)] for i in range(4)] for m in x])
    plain = np.array([[[sum(m[i, k] * y[k, j] for k in range(4)) for j in range(3)] for i in range(3)] for m in x])
    bench.check(build, {"x": x, "y": y, "q": q, "z": z}, linear, plain, transposed, einsum, **TOLERANCE)


def reference_conv(x, w, strides, pads, dilations, groups):
    """Direct sum over every window; `pads` (before, after) by dimension."""
    n = x.shape[0]
    c_out, per_group, *ks = w.shape
    padded = np.pad(x.astype(np.float64), [(0, 0), (0, 0), *pads])
    out = [(p - (k - 1) * d - 1) // s + 1 for p, k, d, s in zip(padded.shape[2:], ks, dilations, strides, strict=True)]
    result = np.zeros((n, c_out, *out))
    for at in np.ndindex(*result.shape):
        image, o, place = at[0], at[1], at[2:]
        first = (o // (c_out // groups)) * per_group
        for c in range(per_group):
            for k in np.ndindex(*ks):
                where = tuple(p * s + i * d for p, s, i, d in zip(place, strides, k, dilations, strict=True))
                result[at] += padded[(image, first + c, *where)] * w[(o, c, *k)]
    return result


# shape of x, shape of the weight, parameters, (before, after) by dimension
CONVOLUTIONS = {
    "1d": ((2, 2, 7), (3, 2, 3), {"pad_type": "valid"}, [(0, 0)]),
    "2d-asymmetric": (
        (1, 2, 6, 5),
        (4, 2, 3, 2),
        {"pad_type": "custom", "pad": [1, 0, 2, 1], "strides": [2, 1]},
        [(1, 0), (2, 1)],
    ),
    "2d-grouped-dilated": (
        (1, 4, 7, 7),
        (6, 2, 3, 3),
        {"pad_type": "custom", "pad": [1, 1, 1, 1], "dilations": [2, 1], "groups": 2},
        [(1, 1), (1, 1)],
    ),
    "2d-same": ((1, 2, 6, 5), (3, 2, 2, 3), {"pad_type": "same", "strides": [1, 2]}, [(0, 1), (1, 1)]),
    "2d-same-lower": ((1, 2, 6, 5), (3, 2, 2, 3), {"pad_type": "same_lower", "strides": [1, 2]}, [(1, 0), (1, 1)]),
    "3d": ((1, 1, 4, 3, 3), (2, 1, 2, 2, 2), {"pad_type": "valid"}, [(0, 0)] * 3),
}


@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_conv(bench, rng, case):
    shape, kernel, parameters, pads = CONVOLUTIONS[case]
    rank = len(shape) - 2
    x, w, b = (rng.standard_normal(s, np.float32) for s in (shape, kernel, kernel[:1]))
    expected = reference_conv(
        x,
        w,
        parameters.get("strides", [1] * rank),
        pads,
        parameters.get("dilations", [1] * rank),
        parameters.get("groups", 1),
    )
    expected += b.reshape(1, -1, *[1] * rank)
    bench.check(lambda x: mb.conv(x=x, weight=w, bias=b, **parameters), {"x": x}, expected, **TOLERANCE)


def test_strict_conv_equals_wide_up_to_fp16(bench, rng):
    x, w = rng.standard_normal((1, 4, 6, 6)).astype(np.float16), rng.standard_normal((6, 2, 3, 3)).astype(np.float16)
    model = bench.model(lambda x: mb.conv(x=x, weight=w, groups=2, pad_type="same", strides=[2, 1]), {"x": x})
    exact, wide, strict = (next(iter(model({"x": x}, mode=m).values())) for m in ("exact", "wide", "strict"))
    assert exact.dtype == np.float64
    assert wide.dtype == strict.dtype == np.float16
    assert np.abs(wide - exact).max() <= 2.0**-11 * np.abs(exact).max()
    error = np.abs(strict - exact).max()
    assert np.abs(wide - exact).max() < error < 0.05


@pytest.mark.parametrize("output_shape", [None, [1, 4, 10, 6]])
@pytest.mark.parametrize("pad_type", ["valid", "custom"])
def test_conv_transpose(bench, rng, pad_type, output_shape):
    if output_shape and pad_type == "valid":
        pytest.skip("the output shape of a valid transposed convolution is not free")
    x, w, b = (rng.standard_normal(s, np.float32) for s in ((1, 4, 5, 4), (4, 2, 3, 2), (4,)))
    full = np.zeros((1, 4, 11, 6))  # strides 2 and 1, dilations 1 and 2
    for c, h, v, o, i, j in product(range(4), range(5), range(4), range(2), range(3), range(2)):
        channel = (c // 2) * 2 + o
        full[0, channel, 2 * h + i, v + 2 * j] += float(x[0, c, h, v]) * w[c, o, i, j]
    pad = [1, 0, 0, 1] if pad_type == "custom" else None
    expected = full[:, :, 1:, :-1] if pad else full
    if output_shape:
        expected = full[:, :, 1:11, :6]
    extra = {"pad": pad} if pad else {}
    if output_shape:
        extra["output_shape"] = output_shape
    bench.check(
        lambda x: mb.conv_transpose(
            x=x, weight=w, bias=b, strides=[2, 1], dilations=[1, 2], groups=2, pad_type=pad_type, **extra
        ),
        {"x": x},
        expected + b.reshape(1, -1, 1, 1),
        **TOLERANCE,
    )


def reference_pool(x, ks, strides, pads, ceil_mode, reduce):
    """`reduce(values inside of the image, how many positions are inside of image and padding)` for each window."""
    sizes = x.shape[2:]
    counts = []
    for size, k, s, (before, after) in zip(sizes, ks, strides, pads, strict=True):
        span = size + before + after - k
        count = (math.ceil(span / s) if ceil_mode else span // s) + 1
        if ceil_mode and before + after and (count - 1) * s >= size + before:
            count -= 1
        counts.append(count)
    result = np.zeros((*x.shape[:2], *counts))
    for at in np.ndindex(*result.shape):
        values, inside = [], 0
        for k in np.ndindex(*ks):
            place = [p * s + i - b for p, s, i, (b, _) in zip(at[2:], strides, k, pads, strict=True)]
            if all(-b <= p < n + a for p, n, (b, a) in zip(place, sizes, pads, strict=True)):
                inside += 1
            if all(0 <= p < n for p, n in zip(place, sizes, strict=True)):
                values.append(float(x[(*at[:2], *place)]))
        result[at] = reduce(values, inside)
    return result


POOLS = {
    "valid": ([3, 2], [2, 1], {"pad_type": "valid"}, [(0, 0), (0, 0)], False),
    "custom": ([3, 2], [2, 2], {"pad_type": "custom", "pad": [1, 0, 0, 1]}, [(1, 0), (0, 1)], False),
    "ceil": ([3, 3], [2, 2], {"pad_type": "custom", "pad": [1, 1, 1, 1], "ceil_mode": True}, [(1, 1), (1, 1)], True),
    "same": ([3, 3], [2, 2], {"pad_type": "same"}, [(0, 1), (1, 1)], False),
}


@pytest.mark.parametrize("case", POOLS)
def test_pools(bench, rng, case):
    ks, strides, parameters, pads, ceil_mode = POOLS[case]
    x = rng.standard_normal((1, 2, 6, 7), np.float32)

    def build(x):
        common = {"x": x, "kernel_sizes": ks, "strides": strides, **parameters}
        return (
            mb.avg_pool(**common),
            mb.avg_pool(exclude_padding_from_average=True, **common),
            mb.max_pool(**common),
            mb.l2_pool(**common),
        )

    reductions = (
        lambda values, inside: sum(values) / inside,
        lambda values, inside: sum(values) / len(values),
        lambda values, inside: max(values),
        lambda values, inside: math.sqrt(sum(v * v for v in values)),
    )
    expected = [reference_pool(x, ks, strides, pads, ceil_mode, r) for r in reductions]
    bench.check(build, {"x": x}, *expected, **TOLERANCE)


def test_normalizations(bench, rng):
    x = rng.standard_normal((2, 3, 4, 5), np.float32) * 2 + 1
    mean, var, gamma, beta = (rng.random(3).astype(np.float32) + 0.5 for _ in range(4))
    g2, b2 = rng.standard_normal((4, 5), np.float32), rng.standard_normal((4, 5), np.float32)

    def build(x):
        return (
            mb.batch_norm(x=x, mean=mean, variance=var, gamma=gamma, beta=beta, epsilon=np.float32(1e-3)),
            mb.instance_norm(x=x, gamma=gamma, beta=beta, epsilon=np.float32(1e-3)),
            mb.layer_norm(x=x, axes=[2, 3], gamma=g2, beta=b2, epsilon=np.float32(1e-3)),
            mb.layer_norm(x=x, axes=[-1]),
            mb.l2_norm(x=x, epsilon=np.float32(1e-3)),
            mb.local_response_norm(x=x, size=3, alpha=np.float32(0.3), beta=np.float32(0.5), k=np.float32(2)),
        )

    d = x.astype(np.float64)
    c = lambda v: v.reshape(1, 3, 1, 1)  # noqa: E731
    std = lambda axes, eps: (d - d.mean(axes, keepdims=True)) / np.sqrt(d.var(axes, keepdims=True) + eps)  # noqa: E731
    lrn = np.empty_like(d)
    for n, k in np.ndindex(2, 3):
        total = sum(d[n, j] ** 2 for j in range(max(k - 1, 0), min(k + 2, 3)))
        lrn[n, k] = d[n, k] / (2 + 0.1 * total) ** 0.5
    bench.check(
        build,
        {"x": x},
        c(gamma) * (d - c(mean)) / np.sqrt(c(var) + 1e-3) + c(beta),
        c(gamma) * std((2, 3), 1e-3) + c(beta),
        g2 * std((2, 3), 1e-3) + b2,
        std((3,), 1e-5),
        d / np.sqrt((d**2).sum((1, 2, 3), keepdims=True) + 1e-3),
        lrn,
        **TOLERANCE,
    )


REDUCTIONS = {
    "reduce_sum": sum,
    "reduce_mean": lambda v: sum(v) / len(v),
    "reduce_max": max,
    "reduce_min": min,
    "reduce_prod": math.prod,
    "reduce_l1_norm": lambda v: sum(map(abs, v)),
    "reduce_l2_norm": lambda v: math.sqrt(sum(a * a for a in v)),
    "reduce_sum_square": lambda v: sum(a * a for a in v),
    "reduce_log_sum": lambda v: math.log(sum(v)) if sum(v) > 0 else math.nan,
    "reduce_log_sum_exp": lambda v: math.log(sum(map(math.exp, v))),
}


@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions(bench, rng, name):
    x = rng.standard_normal((2, 3, 4), np.float32) + 1
    by_last = np.array([[REDUCTIONS[name]([float(v) for v in row]) for row in m] for m in x])
    outer = np.array([[[REDUCTIONS[name]([float(x[i, j, k]) for i in range(2) for k in range(4)])] for j in range(3)]])

    def build(x):
        op = getattr(mb, name)
        return op(x=x, axes=[-1]), op(x=x, axes=[0, 2], keep_dims=True), op(x=x)

    everything = [REDUCTIONS[name]([float(v) for v in x.reshape(-1)])]
    bench.check(build, {"x": x}, by_last, outer, everything, **TOLERANCE)


def test_log_sum_exp_does_not_overflow(bench):
    bench.check(lambda x: mb.reduce_log_sum_exp(x=x, axes=[0]), {"x": np.float32([1000, 1000])}, [1000 + math.log(2)])


def test_arguments_of_extrema(bench):
    x = np.float32([[1, 5, 5], [7, -2, -2]])

    def build(x):
        return mb.reduce_argmax(x=x, axis=1), mb.reduce_argmin(x=x, axis=0, keep_dims=True)

    bench.check(build, {"x": x}, [1, 0], [[0, 1, 1]])


@pytest.mark.parametrize("mask", ["none", "bool", "float"])
def test_scaled_dot_product_attention(bench, rng, mask):
    q, k, v = (rng.standard_normal(s, np.float32) for s in ((1, 2, 3, 4), (1, 2, 5, 4), (1, 2, 5, 6)))
    allowed = (rng.random((3, 5)) > 0.4) | (np.arange(5) == 0)
    added = {"none": np.zeros((3, 5)), "bool": np.where(allowed, 0, -np.inf), "float": np.where(allowed, 0.5, -2.0)}[
        mask
    ]
    expected = np.zeros((1, 2, 3, 6))
    for h, row in np.ndindex(2, 3):
        dots = [sum(float(a) * b for a, b in zip(q[0, h, row], k[0, h, s], strict=True)) for s in range(5)]
        scores = [math.exp(dot / 2 + added[row, s]) for s, dot in enumerate(dots)]
        expected[0, h, row] = sum(w * v[0, h, s] for s, w in enumerate(scores)) / sum(scores)
    extra = {"none": {}, "bool": {"attn_mask": allowed}, "float": {"attn_mask": added.astype(np.float32)}}[mask]

    def build(q, k, v):
        return mb.scaled_dot_product_attention(query=q, key=k, value=v, **extra)

    bench.check(build, {"q": q, "k": k, "v": v}, expected, **TOLERANCE)


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_recurrent(bench, rng, direction):
    s, n, i, h = 4, 2, 3, 5
    x, h0, c0 = (rng.standard_normal(shape, np.float32) for shape in ((s, n, i), (n, h), (n, h)))
    shapes = {g: ((g * h, i), (g * h, h), (g * h,)) for g in (1, 3, 4)}  # by number of gates: rnn, gru, lstm
    weights = {g: tuple(rng.standard_normal(s, np.float32) for s in three) for g, three in shapes.items()}

    def build(x, h0, c0):
        common = {"x": x, "initial_h": h0, "direction": direction, "output_sequence": True}
        given = {g: dict(zip(("weight_ih", "weight_hh", "bias"), w, strict=True)) for g, w in weights.items()}
        return (
            *mb.rnn(**common, **given[1]),
            *mb.gru(**common, **given[3]),
            *mb.lstm(initial_c=c0, **common, **given[4]),
        )

    order = range(s) if direction == "forward" else range(s - 1, -1, -1)
    expected = []
    for g in (1, 3, 4):
        w_ih, w_hh, b = (a.astype(np.float64) for a in weights[g])
        state, cell, seen = h0.astype(np.float64), c0.astype(np.float64), np.zeros((s, n, h))
        for t in order:
            x_part = np.split(x[t] @ w_ih.T + b, g, -1)
            if g == 1:
                state = np.tanh(x_part[0] + state @ w_hh.T)
            elif g == 3:
                r_w, o_w, z_w = np.split(w_hh, 3)
                r, z = _sigmoid(x_part[0] + state @ r_w.T), _sigmoid(x_part[2] + state @ z_w.T)
                state = (1 - z) * np.tanh(x_part[1] + (r * state) @ o_w.T) + z * state
            else:
                gates = [p + state @ w.T for p, w in zip(x_part, np.split(w_hh, 4), strict=True)]
                cell = _sigmoid(gates[1]) * cell + _sigmoid(gates[0]) * np.tanh(gates[3])
                state = _sigmoid(gates[2]) * np.tanh(cell)
            seen[t] = state
        expected += [seen, state] + ([cell] if g == 4 else [])
    bench.check(build, {"x": x, "h0": h0, "c0": c0}, *expected, **TOLERANCE)


@pytest.mark.parametrize(
    ("name", "dtype", "expected"),
    [
        ("reduce_max", np.int32, -(2**31)),
        ("reduce_min", np.int32, 2**31 - 1),
        ("reduce_max", np.float32, -np.inf),
        ("reduce_min", np.float16, np.inf),
        ("reduce_sum", np.float32, 0),
        ("reduce_prod", np.float32, 1),
        ("reduce_mean", np.int32, 0),
        ("reduce_mean", np.float32, np.nan),
        ("reduce_log_sum_exp", np.float32, -np.inf),
    ],
)
def test_a_reduction_of_no_elements_is_the_identity_and_undocumented(name, dtype, expected):
    declared = TensorType(name_of(np.dtype(dtype)), (2,))
    x = Literal(np.zeros((2, 0), dtype), TensorType(declared.dtype, (2, 0)))
    axes = Literal(np.int32([1]), TensorType("int32", (1,)))
    operation = Operation(name, "y", {"x": x, "axes": axes}, (NamedType("y", declared),))
    function = Function("main", "CoreML8", (), Block((), ("y",), (operation,)), Description())
    with np.errstate(all="ignore"):
        result = Model(Program({"main": function})).run({})
    np.testing.assert_array_equal(result.outputs["y"], np.full(2, expected, dtype))
    assert "undocumented" in {d.kind for d in result.diagnostics}


def test_sign_and_threshold_of_nan_are_undocumented(bench):
    x = np.float32([np.nan, -2, 2])
    for build, expected in (
        (lambda x: mb.sign(x=x), [np.nan, -1, 1]),
        (lambda x: mb.thresholded_relu(x=x, alpha=1.0), [0, 0, 2]),
    ):
        result = bench.run(build, {"x": x})
        np.testing.assert_array_equal(next(iter(result.outputs.values())), np.float32(expected))
        assert "undocumented" in {d.kind for d in result.diagnostics}
        assert not bench.run(build, {"x": np.float32([-2, 0, 2])}).diagnostics
