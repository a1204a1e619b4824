"""Properties of `recurrent`: the documented recurrences, one number at a time."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st
from kernel_properties.draw import FLOATS, Draw, calls, modes, pick, some, values
from kernel_properties.table import Call, declare

Vector = list[float]
_ACTIVATIONS: dict[str, Callable[[float], float]] = {
    "tanh": math.tanh,
    "sigmoid": lambda v: 1 / (1 + math.exp(-v)),
    "relu": lambda v: v if v > 0 else 0.0,
    "linear": lambda v: v,
}


def _product(matrix: Any, vector: Vector, first: int, count: int) -> Vector:
    """`count` rows of a matrix from `first` on, times a vector."""
    return [sum(float(m) * v for m, v in zip(matrix[first + i], vector, strict=True)) for i in range(count)]


def _part(bias: Any, first: int, count: int) -> Vector:
    return [0.0] * count if bias is None else [float(b) for b in bias[first : first + count]]


def _gate(act: Callable[[float], float], *terms: Vector) -> Vector:
    return [act(sum(t)) for t in zip(*terms, strict=True)]


def _drawn(draw: Draw, rng: np.random.Generator, gates: int, directions: int, **more: list[Any]) -> tuple[Any, ...]:
    dtype = draw(st.sampled_from(FLOATS))
    s, b, i, h = (draw(st.integers(1, 3)) for _ in range(4))

    def weight(*shape: int) -> Any:
        return values(rng, shape, dtype, -1, 1)

    arguments = {
        "x": values(rng, (s, b, i), dtype, -2, 2),
        "initial_h": weight(b, directions * h),
        "weight_ih": weight(gates * h, i),
        "weight_hh": weight(gates * h, h),
    }
    if draw(st.booleans()):
        arguments["bias"] = weight(gates * h)
    arguments |= some(draw, output_sequence=[True, False], **more)
    return arguments, weight, b, i, h, draw(modes(dtype))


def _steps(x: Any, b: int, direction: str) -> list[Vector]:
    order = range(len(x)) if direction == "forward" else reversed(range(len(x)))
    return [[float(v) for v in x[t, b]] for t in order]


def _result(states: list[list[Vector]], direction: str, output_sequence: bool) -> Any:
    """[s or 1, b, H] from the hidden states by batch entry, in the order they were computed."""
    rows = [(s if direction == "forward" else s[::-1]) if output_sequence else s[-1:] for s in states]
    return np.moveaxis(np.array(rows), 0, 1)


def _rnn_calls(draw: Draw, rng: np.random.Generator) -> Call:
    arguments, _, _, _, _, mode = _drawn(
        draw, rng, 1, 1, direction=["forward", "reverse"], activation=["tanh", "relu", "sigmoid", "linear"]
    )
    return Call(arguments, mode=mode)


def _rnn(
    x: Any,
    initial_h: Any,
    weight_ih: Any,
    weight_hh: Any,
    bias: Any = None,
    direction: str = "forward",
    output_sequence: bool = False,
    activation: str = "tanh",
) -> list[Any]:
    size = weight_hh.shape[1]
    states = []
    for b in range(x.shape[1]):
        h, seen = [float(v) for v in initial_h[b]], []
        for step in _steps(x, b, direction):
            entry, carried = _product(weight_ih, step, 0, size), _product(weight_hh, h, 0, size)
            h = _gate(_ACTIVATIONS[activation], entry, carried, _part(bias, 0, size))
            seen.append(h)
        states.append(seen)
    return [_result(states, direction, output_sequence), np.array([s[-1] for s in states])]


declare("rnn", calls(_rnn_calls), _rnn, ulps=4, slack=8)


def _gru_calls(draw: Draw, rng: np.random.Generator) -> Call:
    arguments, weight, _, _, h, mode = _drawn(
        draw,
        rng,
        3,
        1,
        direction=["forward", "reverse"],
        activation=["tanh", "relu"],
        recurrent_activation=["sigmoid", "tanh"],
        reset_after=[True, False],
    )
    if draw(st.booleans()):
        arguments["input_bias"] = weight(3 * h)
    return Call(arguments, mode=mode)


def _gru(
    x: Any,
    initial_h: Any,
    weight_ih: Any,
    weight_hh: Any,
    bias: Any = None,
    direction: str = "forward",
    output_sequence: bool = False,
    recurrent_activation: str = "sigmoid",
    activation: str = "tanh",
    reset_after: bool = False,
    input_bias: Any = None,
) -> list[Any]:
    n = weight_hh.shape[1]
    rec, act = _ACTIVATIONS[recurrent_activation], _ACTIVATIONS[activation]
    states = []
    for b in range(x.shape[1]):
        h, seen = [float(v) for v in initial_h[b]], []
        for step in _steps(x, b, direction):
            entry = [
                _gate(_ACTIVATIONS["linear"], _product(weight_ih, step, k * n, n), _part(input_bias, k * n, n))
                for k in range(3)
            ]
            r = _gate(rec, entry[0], _product(weight_hh, h, 0, n), _part(bias, 0, n))
            z = _gate(rec, entry[2], _product(weight_hh, h, 2 * n, n), _part(bias, 2 * n, n))
            if reset_after:
                inner = _gate(_ACTIVATIONS["linear"], _product(weight_hh, h, n, n), _part(bias, n, n))
                reset = [p * q for p, q in zip(r, inner, strict=True)]
            else:
                kept = [p * q for p, q in zip(r, h, strict=True)]
                reset = _gate(_ACTIVATIONS["linear"], _product(weight_hh, kept, n, n), _part(bias, n, n))
            o = _gate(act, entry[1], reset)
            h = [(1 - u) * new + u * old for u, new, old in zip(z, o, h, strict=True)]
            seen.append(h)
        states.append(seen)
    return [_result(states, direction, output_sequence), np.array([s[-1] for s in states])]


declare("gru", calls(_gru_calls), _gru, ulps=4, slack=8)


def _lstm_calls(draw: Draw, rng: np.random.Generator) -> Call:
    both = draw(st.booleans())
    arguments, weight, b, i, h, mode = _drawn(
        draw,
        rng,
        4,
        2 if both else 1,
        recurrent_activation=["sigmoid", "tanh"],
        cell_activation=["tanh", "relu"],
        activation=["linear", "linear", "tanh"],
        clip=[0.5],
    )
    arguments["initial_c"] = weight(b, (2 if both else 1) * h)
    if draw(st.booleans()):
        arguments["peephole"] = weight(3 * h)
    if both:
        arguments["direction"] = "bidirectional"
        arguments |= {"weight_ih_back": weight(4 * h, i), "weight_hh_back": weight(4 * h, h)}
        if draw(st.booleans()):
            arguments["bias_back"] = weight(4 * h)
        if draw(st.booleans()):
            arguments["peephole_back"] = weight(3 * h)
    elif draw(st.booleans()):
        arguments["direction"] = pick(draw, "forward", "reverse")
    return Call(arguments, mode=mode)


def _one_direction(
    steps: list[Vector],
    h: Vector,
    c: Vector,
    weights: tuple[Any, Any, Any, Any],
    acts: tuple[Callable[[float], float], ...],
    clip: float | None,
) -> tuple[list[Vector], Vector]:
    w_ih, w_hh, bias, peephole = weights
    rec, cell, act = acts
    n, seen = len(h), []
    for step in steps:
        i, f, o, z = (
            _gate(
                _ACTIVATIONS["linear"],
                _product(w_ih, step, k * n, n),
                _product(w_hh, h, k * n, n),
                _part(bias, k * n, n),
            )
            for k in range(4)
        )
        p_i, p_f, p_o = (_part(peephole, k * n, n) for k in range(3))
        new = []
        for k in range(n):
            value = rec(f[k] + p_f[k] * c[k]) * c[k] + rec(i[k] + p_i[k] * c[k]) * cell(z[k])
            new.append(value if clip is None else max(-clip, min(clip, value)))
        c = new
        h = [rec(o[k] + p_o[k] * c[k]) * act(c[k]) for k in range(n)]
        seen.append(h)
    return seen, c


def _lstm(x: Any, initial_h: Any, initial_c: Any, weight_ih: Any, weight_hh: Any, **given: Any) -> list[Any]:
    acts = tuple(
        _ACTIVATIONS[given.get(name, default)]
        for name, default in (("recurrent_activation", "sigmoid"), ("cell_activation", "tanh"), ("activation", "tanh"))
    )
    n, direction = weight_hh.shape[1], given.get("direction", "forward")
    ways = [("forward" if direction == "bidirectional" else direction, "", weight_ih, weight_hh)]
    if direction == "bidirectional":
        ways.append(("reverse", "_back", given["weight_ih_back"], given["weight_hh_back"]))
    sequences, lasts, cells = [], [], []
    for k, (way, suffix, w_ih, w_hh) in enumerate(ways):
        weights = (w_ih, w_hh, given.get(f"bias{suffix}"), given.get(f"peephole{suffix}"))
        states, ends = [], []
        for b in range(x.shape[1]):
            h, c = ([float(v) for v in s[b, k * n : (k + 1) * n]] for s in (initial_h, initial_c))
            seen, end = _one_direction(_steps(x, b, way), h, c, weights, acts, given.get("clip"))
            states.append(seen)
            ends.append(end)
        sequences.append(_result(states, way, given.get("output_sequence", False)))
        lasts.append(np.array([s[-1] for s in states]))
        cells.append(np.array(ends))
    return [np.concatenate(parts, -1) for parts in (sequences, lasts, cells)]


declare("lstm", calls(_lstm_calls), _lstm, ulps=4, slack=8)
