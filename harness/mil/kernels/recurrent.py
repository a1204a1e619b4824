"""Recurrent layers. `x` [s, b, I]: sequence, batch, features. fp32, from iOS17 on fp16 too.

Semantics: coremltools' documentation of `iOS15.recurrent`, `iOS18.recurrent`. In mode `wide` the whole sequence is
computed in float32 and rounded once: the operator is one operation.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from harness.mil.context import UNDOCUMENTED, Context
from harness.mil.kernels.activation import stable_sigmoid
from harness.mil.registry import kernel
from harness.mil.types import Array

_ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "linear": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "sigmoid": stable_sigmoid,
    "tanh": np.tanh,
    # The constants of these are not documented; coremltools' own tests of the operators take 0.2 and 0.5 for the hard
    # sigmoid and 1 and 1 for the scaled tanh.
    "hard_sigmoid": lambda x: np.clip(0.2 * x + 0.5, 0, 1),
    "sigmoid_hard": lambda x: np.clip(0.2 * x + 0.5, 0, 1),
    "scaled_tanh": np.tanh,
}
_UNDOCUMENTED_CONSTANTS = ("hard_sigmoid", "sigmoid_hard", "scaled_tanh")


def _activation(context: Context, name: str) -> Callable[[Array], Array]:
    name = name.lower()
    if name not in _ACTIVATIONS:
        raise ValueError(f"unknown activation {name!r}: one of {', '.join(_ACTIVATIONS)}")
    if name in _UNDOCUMENTED_CONSTANTS:
        context.note(UNDOCUMENTED, f"constants of {name}")
    return _ACTIVATIONS[name]


def _ordered(x: Array, direction: str) -> Array:
    if direction not in ("forward", "reverse"):
        raise ValueError(f"unknown direction {direction!r}")
    return x if direction == "forward" else x[::-1]


def _sequence(states: list[Array], direction: str, output_sequence: bool) -> Array:
    """Hidden states in the order of the input, or the last one computed, as [s or 1, b, H]."""
    if not output_sequence:
        return states[-1][None]
    return np.stack(states if direction == "forward" else states[::-1])


@kernel("rnn")
def rnn(
    context: Context,
    x: Array,
    initial_h: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias: Array | None = None,
    direction: str = "forward",
    output_sequence: bool = False,
    activation: str = "tanh",
) -> list[Array]:
    """h = activation(W_ih x + W_hh h + bias). `weight_ih` [H, I], `weight_hh` [H, H] -> hidden states [s or 1, b, H]
    and the last one [b, H]."""
    act, h, states = _activation(context, activation), initial_h, []
    for step in _ordered(x, direction):
        h = context.matmul(step, weight_ih.T) + context.matmul(h, weight_hh.T)
        h = act(h if bias is None else h + bias)
        states.append(h)
    return [_sequence(states, direction, output_sequence), h]


@kernel("gru")
def gru(
    context: Context,
    x: Array,
    initial_h: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias: Array | None = None,
    direction: str = "forward",
    output_sequence: bool = False,
    recurrent_activation: str = "sigmoid",
    activation: str = "tanh",
    reset_after: bool = False,
    input_bias: Array | None = None,
) -> list[Array]:
    """Gates in the order reset, output, update: r = rec(W_ir x + W_hr h + b), z = rec(W_iz x + W_hz h + b),
    o = activation(W_io x + b_io + the reset part), h = (1 - z) o + z h. Weights [3H, I] and [3H, H], biases [3H].

    The reset part is written `r * W_ho h + b_ho`, which fits two readings: we take W_ho (r h) + b_ho, as coremltools'
    own test of the operator does, and r (W_ho h + b_ho), PyTorch's, with `reset_after` (iOS18; that test is an expected
    failure upstream, so we note it)."""
    if reset_after:
        context.note(UNDOCUMENTED, "reset_after of gru")
    rec, act = _activation(context, recurrent_activation), _activation(context, activation)
    size = weight_hh.shape[1]
    hidden_bias = np.zeros(3 * size, x.dtype) if bias is None else bias
    entry_bias = np.zeros(3 * size, x.dtype) if input_bias is None else input_bias
    h, states = initial_h, []
    for step in _ordered(x, direction):
        entry = context.matmul(step, weight_ih.T) + entry_bias
        (x_r, x_o, x_z), (b_r, b_o, b_z) = np.split(entry, 3, -1), np.split(hidden_bias, 3)
        w_r, w_o, w_z = np.split(weight_hh, 3)
        r = rec(x_r + context.matmul(h, w_r.T) + b_r)
        z = rec(x_z + context.matmul(h, w_z.T) + b_z)
        reset = r * (context.matmul(h, w_o.T) + b_o) if reset_after else context.matmul(r * h, w_o.T) + b_o
        h = (1 - z) * act(x_o + reset) + z * h
        states.append(h)
    return [_sequence(states, direction, output_sequence), h]


def _lstm(
    context: Context,
    x: Array,
    h: Array,
    c: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias: Array | None,
    peephole: Array | None,
    activations: tuple[Callable[[Array], Array], ...],
    clip: float | None,
) -> tuple[list[Array], Array, Array]:
    """One direction of `lstm` over `x` in its order: hidden states, last hidden state, last cell."""
    rec, cell, act = activations
    states = []
    for step in x:
        gates = context.matmul(step, weight_ih.T) + context.matmul(h, weight_hh.T)
        i, f, o, z = np.split(gates if bias is None else gates + bias, 4, -1)
        if peephole is not None:
            p_i, p_f, p_o = np.split(peephole, 3)
            i, f = i + p_i * c, f + p_f * c
        i, f, z = rec(i), rec(f), cell(z)
        c = f * c + i * z
        if clip is not None:
            c = np.clip(c, -clip, clip)
        if peephole is not None:
            o = o + p_o * c
        h = rec(o) * act(c)
        states.append(h)
    return states, h, c


@kernel("lstm")
def lstm(
    context: Context,
    x: Array,
    initial_h: Array,
    initial_c: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias: Array | None = None,
    peephole: Array | None = None,
    weight_ih_back: Array | None = None,
    weight_hh_back: Array | None = None,
    bias_back: Array | None = None,
    peephole_back: Array | None = None,
    direction: str = "forward",
    output_sequence: bool = False,
    recurrent_activation: str = "sigmoid",
    cell_activation: str = "tanh",
    activation: str = "tanh",
    clip: float | None = None,
) -> list[Array]:
    """Gates in the order input, forget, output, cell: c = f c + i z, h = o activation(c). Weights [4H, I] and [4H, H],
    bias [4H], peephole [3H]; bidirectional states are [b, 2H], forward first -> hidden states [s or 1, b, D H], last
    hidden state and last cell [b, D H].

    Documented without a formula: peepholes (of the cell before for the input and forget gates, of the new one for the
    output gate) and `clip`, which we apply to the cell."""
    acts = tuple(_activation(context, a) for a in (recurrent_activation, cell_activation, activation))
    if clip is not None or peephole is not None:
        context.note(UNDOCUMENTED, "clip and peepholes of lstm")
    if direction != "bidirectional":
        states, h, c = _lstm(
            context, _ordered(x, direction), initial_h, initial_c, weight_ih, weight_hh, bias, peephole, acts, clip
        )
        return [_sequence(states, direction, output_sequence), h, c]
    if weight_ih_back is None or weight_hh_back is None:
        raise ValueError("a bidirectional lstm needs weight_ih_back and weight_hh_back")
    (h_f, h_b), (c_f, c_b) = np.split(initial_h, 2, -1), np.split(initial_c, 2, -1)
    states_f, h_f, c_f = _lstm(context, x, h_f, c_f, weight_ih, weight_hh, bias, peephole, acts, clip)
    states_b, h_b, c_b = _lstm(
        context, x[::-1], h_b, c_b, weight_ih_back, weight_hh_back, bias_back, peephole_back, acts, clip
    )
    sequence = np.concatenate(
        [_sequence(states_f, "forward", output_sequence), _sequence(states_b, "reverse", output_sequence)], -1
    )
    return [sequence, np.concatenate([h_f, h_b], -1), np.concatenate([c_f, c_b], -1)]
