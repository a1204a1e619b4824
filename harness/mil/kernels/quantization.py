"""Affine quantisation of activations and weights. Semantics: coremltools' documentation of `iOS17.quantization_ops`."""

from __future__ import annotations

import numpy as np

from harness.mil.context import NAN_TO_INTEGER, Context
from harness.mil.registry import kernel
from harness.mil.types import Array, numpy_dtype


def along(parameter: Array, rank: int, axis: int | None) -> Array:
    """A scalar as it is, a vector shaped to broadcast along `axis` of a tensor of that rank."""
    if parameter.ndim == 0:
        return parameter
    if axis is None:
        raise ValueError("a vector of scales needs an axis")
    shape = [1] * rank
    shape[axis] = -1
    return parameter.reshape(shape)


def _compute_dtype(context: Context, scale: Array) -> np.dtype[np.generic]:
    """Integers and fp16 are combined in float32 and rounded once, in float64 for wider scales and in mode `exact`."""
    if context.mode == "strict":
        return scale.dtype
    return np.dtype(np.float64 if scale.dtype.itemsize > 4 else np.float32)


@kernel("quantize", raw=True)
def quantize(
    context: Context,
    input: Array,
    scale: Array,
    output_dtype: str,
    zero_point: Array | None = None,
    axis: int | None = None,
) -> Array:
    """clip(round(input / scale) + zero_point) to uint8 or int8 (iOS18 programs also have int4, uint4), in the shape of
    `input` (fp16, fp32). `scale` and `zero_point` are scalars, or vectors [input.shape[axis]]. Not documented: rounding
    is half to even, as in `round`; NaN becomes the zero point, which we note."""
    target = numpy_dtype(output_dtype)
    compute = _compute_dtype(context, scale)
    steps = np.rint(input.astype(compute) / along(scale.astype(compute), input.ndim, axis))
    nan = np.isnan(steps)
    if nan.any():
        context.note(NAN_TO_INTEGER, f"{int(nan.sum())} NaN quantized", nan)
        steps = np.where(nan, 0, steps)
    if zero_point is not None:
        steps = steps + along(zero_point.astype(compute), input.ndim, axis)
    low, high = (-8, 7) if output_dtype == "int4" else (0, 15) if output_dtype == "uint4" else (None, None)
    limits = np.iinfo(target)
    return np.clip(steps, limits.min if low is None else low, limits.max if high is None else high).astype(target)


@kernel("dequantize", raw=True)
def dequantize(
    context: Context, input: Array, scale: Array, zero_point: Array | None = None, axis: int | None = None
) -> Array:
    """scale * (input - zero_point), in the shape of `input` (int8, uint8; int4, uint4) and the type of `scale` (fp16,
    fp32). `scale` and `zero_point` are scalars, or vectors [input.shape[axis]]."""
    compute = _compute_dtype(context, scale)
    data = input.astype(compute)
    if zero_point is not None:
        data = data - along(zero_point.astype(compute), input.ndim, axis)
    return (along(scale.astype(compute), input.ndim, axis) * data).astype(scale.dtype)
