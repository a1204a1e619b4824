"""Activations: elementwise, any shape, fp16 and fp32; `prelu` and `softplus_parametric` have a parameter for each
channel (dimension 1).

Semantics: coremltools' documentation of `iOS15.activation`; iOS17 lets alpha and beta have another float type.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from harness.mil.casting import as_torch
from harness.mil.context import UNDOCUMENTED, Context
from harness.mil.kernels._common import channel_wise, nan_through
from harness.mil.registry import kernel
from harness.mil.types import Array


def stable_sigmoid(x: Array) -> Array:
    """1 / (1 + e^-x) without overflow for either sign."""
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e))


def stable_softplus(x: Array) -> Array:
    """log(1 + e^x) without overflow: the documented formula overflows above 88 in fp32, its value does not."""
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


@kernel("clamped_relu")
def clamped_relu(context: Context, x: Array, alpha: float, beta: float) -> Array:
    """min(beta, x) where x >= 0, else min(beta, alpha * x)."""
    return np.minimum(np.where(x >= 0, x, x * alpha), beta)


@kernel("elu")
def elu(context: Context, x: Array, alpha: float = 1.0) -> Array:
    """x where x > 0, else alpha * (e^x - 1)."""
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


@kernel("gelu")
def gelu(context: Context, x: Array, mode: str = "EXACT") -> Array:
    """0.5 x (1 + erf(x / sqrt 2)); TANH_APPROXIMATION 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)));
    SIGMOID_APPROXIMATION x sigmoid(1.702 x)."""
    if mode == "EXACT":
        return 0.5 * x * (1 + torch.erf(as_torch(np.asarray(x / math.sqrt(2)))).numpy())
    if mode == "TANH_APPROXIMATION":
        return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))
    if mode == "SIGMOID_APPROXIMATION":
        return x * stable_sigmoid(1.702 * x)
    raise ValueError(f"unknown mode {mode!r}")


@kernel("leaky_relu")
def leaky_relu(context: Context, x: Array, alpha: float = 0.01) -> Array:
    """x where x >= 0, else alpha * x."""
    return np.where(x >= 0, x, x * alpha)


@kernel("linear_activation")
def linear_activation(context: Context, x: Array, alpha: float, beta: float = 0.0) -> Array:
    """alpha * x + beta."""
    return x * alpha + beta


@kernel("prelu")
def prelu(context: Context, x: Array, alpha: Array) -> Array:
    """x where x > 0, else alpha[c] * x. `x` [B, C, 1..3 dimensions], `alpha` [C]."""
    return np.where(x > 0, x, x * channel_wise(alpha, x.ndim))


@kernel("relu")
def relu(context: Context, x: Array) -> Array:
    """max(x, 0)."""
    return nan_through(context, np.maximum(x, 0), lambda: np.fmax(x, 0))


@kernel("relu6")
def relu6(context: Context, x: Array) -> Array:
    """min(max(x, 0), 6)."""
    result = np.clip(x, 0, 6)
    return nan_through(context, result, lambda: np.fmax(result, 0), lambda: np.fmin(result, 6))


@kernel("scaled_tanh")
def scaled_tanh(context: Context, x: Array, alpha: float, beta: float) -> Array:
    """alpha * tanh(beta * x)."""
    return alpha * np.tanh(x * beta)


@kernel("sigmoid")
def sigmoid(context: Context, x: Array) -> Array:
    """1 / (1 + e^-x)."""
    return stable_sigmoid(x)


@kernel("sigmoid_hard")
def sigmoid_hard(context: Context, x: Array, alpha: float = 0.2, beta: float = 0.5) -> Array:
    """min(max(alpha * x + beta, 0), 1)."""
    return np.minimum(np.maximum(x * alpha + beta, 0), 1)


@kernel("silu")
def silu(context: Context, x: Array) -> Array:
    """x * sigmoid(x)."""
    return x * stable_sigmoid(x)


@kernel("softplus")
def softplus(context: Context, x: Array) -> Array:
    """log(1 + e^x)."""
    return stable_softplus(x)


@kernel("softplus_parametric")
def softplus_parametric(context: Context, x: Array, alpha: Array, beta: Array) -> Array:
    """alpha[c] * log(1 + e^(beta[c] * x)). `x` [B, C, ...], `alpha` and `beta` [C]."""
    return channel_wise(alpha, x.ndim) * stable_softplus(x * channel_wise(beta, x.ndim))


@kernel("softmax")
def softmax(context: Context, x: Array, axis: int = -1) -> Array:
    """e^x / sum(e^x) along `axis`, computed after subtracting the maximum, which changes no finite value. Of a scalar,
    which has no axis, it is 1 (undocumented)."""
    if x.ndim == 0:
        context.note(UNDOCUMENTED, "softmax of a scalar")
        return np.asarray(np.where(np.isfinite(x), 1, np.nan), x.dtype)
    shifted = np.exp(x - x.max(axis=axis, keepdims=True)) if x.size else x
    return shifted / context.accumulate(shifted, (axis,), keep_dims=True)


@kernel("softsign")
def softsign(context: Context, x: Array) -> Array:
    """x / (1 + |x|)."""
    return x / (1 + np.abs(x))


@kernel("thresholded_relu")
def thresholded_relu(context: Context, x: Array, alpha: float = 1.0) -> Array:
    """x where x >= alpha, else 0; so is NaN, which is not documented."""
    result = np.where(x >= alpha, x, np.zeros((), x.dtype))
    if np.isnan(x).any():
        return context.read("threshold of NaN", result, lambda: np.where(np.isnan(x), x, result))
    return result
