"""Random tensors. The values can never be compared: which generator Core ML uses is not documented. Every run that
reaches one of these says so in a diagnostic. With a seed of 0 or more ours are the same in every run.

Semantics: coremltools' documentation of `iOS15.random`.
"""

from __future__ import annotations

import numpy as np

from harness.mil.context import RANDOM, Context
from harness.mil.registry import Ints, kernel
from harness.mil.types import FLOAT32, Array


def _generator(context: Context, seed: int) -> np.random.Generator:
    context.note(RANDOM, f"{context.op_type} with {'no seed' if seed < 0 else f'seed {seed}'}")
    return np.random.default_rng(None if seed < 0 else seed)


def _value(context: Context, parameter: Array | None, default: float) -> Array:
    return np.asarray(default, context.stored(FLOAT32)) if parameter is None else parameter


@kernel("random_bernoulli", raw=True)
def random_bernoulli(context: Context, shape: Ints, prob: Array | None = None, seed: int = -1) -> Array:
    """1 with probability `prob` (0.5), else 0, in the type of `prob` (fp32)."""
    p = _value(context, prob, 0.5)
    return (_generator(context, seed).random(shape) < p).astype(p.dtype)


@kernel("random_normal", raw=True)
def random_normal(
    context: Context, shape: Ints, mean: Array | None = None, stddev: Array | None = None, seed: int = -1
) -> Array:
    """Normal distribution, in the type of `mean` (fp32)."""
    m, s = _value(context, mean, 0.0), _value(context, stddev, 1.0)
    return _generator(context, seed).normal(m, s, shape).astype(m.dtype)


@kernel("random_uniform", raw=True)
def random_uniform(
    context: Context, shape: Ints, low: Array | None = None, high: Array | None = None, seed: int = -1
) -> Array:
    """Uniform in [low, high), in the type of `low` (fp32)."""
    first = _value(context, low, 0.0)
    last = _value(context, high, 1.0).astype(first.dtype)  # a default `high` is fp32 beside an fp16 `low`
    drawn = _generator(context, seed).uniform(first, last, shape).astype(first.dtype)
    return np.minimum(drawn, np.nextafter(last, first)) if last > first else drawn


@kernel("random_categorical", raw=True)
def random_categorical(context: Context, x: Array, mode: str = "logits", size: int = 1, seed: int = -1) -> Array:
    """`size` draws with replacement from the distributions along the last dimension of `x`, logits or probabilities, in
    the type of `x` (fp16, fp32): [*D[:-1], size]."""
    generator = _generator(context, seed)
    wide = x.astype(np.float64)
    if mode == "logits":
        wide = np.exp(wide - wide.max(-1, keepdims=True))
    elif mode != "probs":
        raise ValueError(f"unknown mode {mode!r}")
    cumulative = np.cumsum(wide / wide.sum(-1, keepdims=True), -1)
    drawn = generator.random((*x.shape[:-1], size))
    index = (drawn[..., :, None] >= cumulative[..., None, :]).sum(-1)
    return np.minimum(index, x.shape[-1] - 1).astype(x.dtype)
