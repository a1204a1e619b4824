"""Convolutions of one to three spatial dimensions. fp16, fp32.

Semantics: coremltools' documentation of `iOS15.conv`, `iOS17.conv`.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from harness.mil.casting import as_torch
from harness.mil.context import STRICT, Context
from harness.mil.kernels._common import channel_wise
from harness.mil.registry import Ints, kernel
from harness.mil.types import FLOAT16, FLOAT32, Array

_CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_CONV_TRANSPOSE = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


def spatial_padding(
    pad_type: str, pad: Ints | None, sizes: Ints, kernel_sizes: Ints, strides: Ints, dilations: Ints
) -> list[tuple[int, int]]:
    """(before, after) for each spatial dimension. `same` makes the output ceil(size / stride) and puts an odd element
    after, `same_lower` before."""
    rank = len(sizes)
    if pad_type == "valid":
        return [(0, 0)] * rank
    if pad_type == "custom":
        pad = pad or (0,) * (2 * rank)
        if len(pad) != 2 * rank:
            raise ValueError(f"{len(pad)} paddings for {rank} spatial dimensions")
        return [(pad[2 * i], pad[2 * i + 1]) for i in range(rank)]
    if pad_type not in ("same", "same_lower"):
        raise ValueError(f"unknown pad_type {pad_type!r}")
    result = []
    for size, k, stride, dilation in zip(sizes, kernel_sizes, strides, dilations, strict=True):
        reach = (k - 1) * dilation + 1
        total = max((-(-size // stride) - 1) * stride + reach - size, 0)
        small, large = total // 2, total - total // 2
        result.append((large, small) if pad_type == "same_lower" else (small, large))
    return result


def zero_padded(x: Array, padding: list[tuple[int, int]], value: float = 0.0) -> Array:
    """`x` [n, C, *D] with the constant around its spatial dimensions."""
    if not any(before or after for before, after in padding):
        return x
    return np.pad(x, [(0, 0), (0, 0), *padding], constant_values=value)


@kernel("conv")
def conv(
    context: Context,
    x: Array,
    weight: Array,
    bias: Array | None = None,
    strides: Ints | None = None,
    pad_type: str = "valid",
    pad: Ints | None = None,
    dilations: Ints | None = None,
    groups: int = 1,
) -> Array:
    """Cross-correlation. `x` [n, C_in, *D], `weight` [C_out, C_in / groups, *K], `bias` [C_out] -> [n, C_out, *D_out].

    From iOS17 on weight and bias may have another float type than `x`, whose type the result has."""
    rank = x.ndim - 2
    strides, dilations = strides or (1,) * rank, dilations or (1,) * rank
    padding = spatial_padding(pad_type, pad, x.shape[2:], weight.shape[2:], strides, dilations)
    weight = weight.astype(x.dtype, copy=False)
    bias = None if bias is None else bias.astype(x.dtype, copy=False)
    if context.mode == STRICT and x.dtype == FLOAT16:
        result = _strict_conv(zero_padded(x, padding), weight, strides, dilations, groups)
        return result if bias is None else result + channel_wise(bias, x.ndim)
    if all(before == after for before, after in padding):
        ends: list[int] = [before for before, _ in padding]
    else:
        x, ends = zero_padded(x, padding), [0] * rank
    out = _CONV[rank](
        as_torch(x), as_torch(weight), None if bias is None else as_torch(bias), strides, ends, dilations, groups
    )
    return out.numpy()


def _strict_conv(x: Array, weight: Array, strides: Ints, dilations: Ints, groups: int) -> Array:
    """fp16 multiply-adds in the order channel, then kernel position, each rounded once; no padding, no bias."""
    n, _, *sizes = x.shape
    c_out, per_group, *kernel_sizes = weight.shape
    out_sizes = [
        (s - (k - 1) * d - 1) // step + 1 for s, k, step, d in zip(sizes, kernel_sizes, strides, dilations, strict=True)
    ]
    data = x.astype(FLOAT32).reshape(n, groups, per_group, *sizes)
    filters = weight.astype(FLOAT32).reshape(groups, c_out // groups, per_group, *kernel_sizes)
    total = np.zeros((n, groups, c_out // groups, *out_sizes), FLOAT32)
    ones = (1,) * len(sizes)
    for channel in range(per_group):
        for position in product(*map(range, kernel_sizes)):
            place: tuple[Any, ...] = (..., *position)
            index: tuple[Any, ...] = tuple(
                slice(p * d, p * d + (o - 1) * step + 1, step)
                for p, d, o, step in zip(position, dilations, out_sizes, strides, strict=True)
            )
            taken = data[:, :, channel][(..., *index)][:, :, None]
            factor = filters[:, :, channel][place].reshape(1, groups, -1, *ones)
            total = (total + taken * factor).astype(FLOAT16).astype(FLOAT32)
    return total.reshape(n, c_out, *out_sizes).astype(FLOAT16)


@kernel("conv_quantized")
def conv_quantized(
    context: Context,
    x: Array,
    weight: Array,
    quantization_type: str,
    quant_scale: Array,
    quant_bias: Array,
    nbits: int = 8,
    bias: Array | None = None,
    strides: Ints | None = None,
    pad_type: str = "valid",
    pad: Ints | None = None,
    dilations: Ints | None = None,
    groups: int = 1,
) -> Array:
    """`conv` with weight * quant_scale + quant_bias in place of the weight (`linear` only; the layout of a `lut` is not
    documented)."""
    if quantization_type != "linear":
        raise ValueError(f"quantization_type {quantization_type!r} is not documented")
    shape = (-1,) + (1,) * (weight.ndim - 1)
    scale, offset = (np.asarray(p).reshape(shape if np.size(p) > 1 else ()) for p in (quant_scale, quant_bias))
    real = (weight.astype(scale.dtype) * scale + offset).astype(x.dtype)
    return conv(context, x, real, bias, strides, pad_type, pad, dilations, groups)


@kernel("conv_transpose")
def conv_transpose(
    context: Context,
    x: Array,
    weight: Array,
    bias: Array | None = None,
    pad: Ints | None = None,
    output_shape: Ints | None = None,
    pad_type: str = "valid",
    strides: Ints | None = None,
    dilations: Ints | None = None,
    groups: int = 1,
) -> Array:
    """The adjoint of `conv`. `x` [n, C_in, *D], `weight` [C_in, C_out / groups, *K] -> [n, C_out, *D_out].

    `pad` is cut off the full result of size (D - 1) stride + (K - 1) dilation + 1; `same` cuts it to D * stride, the
    odd element after. With an `output_shape` what lies beyond the full result is zero (plus the bias)."""
    rank = x.ndim - 2
    strides, dilations = strides or (1,) * rank, dilations or (1,) * rank
    weight = weight.astype(x.dtype, copy=False)
    if context.mode == STRICT and x.dtype == FLOAT16:
        full = _strict_conv_transpose(x, weight, strides, dilations, groups)
    else:
        run: torch.Tensor = _CONV_TRANSPOSE[rank](
            as_torch(x), as_torch(weight), None, strides, [0] * rank, [0] * rank, groups, dilations
        )
        full = run.numpy()
    begins, sizes = [], []
    for i in range(rank):
        begin, end = (pad[2 * i], pad[2 * i + 1]) if pad_type == "custom" and pad else (0, 0)
        if pad_type in ("same", "same_lower"):
            surplus = full.shape[2 + i] - x.shape[2 + i] * strides[i]
            begin = max(surplus, 0) // 2 if pad_type == "same" else max(surplus, 0) - max(surplus, 0) // 2
            end = surplus - begin
        begins.append(begin)
        sizes.append(full.shape[2 + i] - begin - end)
    if output_shape is not None:
        sizes = list(output_shape[-rank:])
    missing = [max(b + s - f, 0) for b, s, f in zip(begins, sizes, full.shape[2:], strict=True)]
    full = zero_padded(full, [(0, m) for m in missing])
    result = full[(slice(None), slice(None), *(slice(b, b + s) for b, s in zip(begins, sizes, strict=True)))]
    return result if bias is None else result + channel_wise(bias.astype(x.dtype, copy=False), x.ndim)


def _strict_conv_transpose(x: Array, weight: Array, strides: Ints, dilations: Ints, groups: int) -> Array:
    """The full transposed convolution in fp16 multiply-adds: a convolution of the zero-stuffed input."""
    n, c_in, *sizes = x.shape
    _, per_group, *kernel_sizes = weight.shape
    reach = [(k - 1) * d for k, d in zip(kernel_sizes, dilations, strict=True)]
    stuffed = np.zeros((n, c_in, *((s - 1) * step + 1 for s, step in zip(sizes, strides, strict=True))), FLOAT16)
    stuffed[(slice(None), slice(None), *(slice(None, None, step) for step in strides))] = x
    flipped = np.flip(weight, tuple(range(2, weight.ndim)))
    grouped = flipped.reshape(groups, c_in // groups, per_group, *kernel_sizes).swapaxes(1, 2)
    filters = grouped.reshape(groups * per_group, c_in // groups, *kernel_sizes)
    return _strict_conv(zero_padded(stuffed, [(r, r) for r in reach]), filters, (1,) * len(sizes), dilations, groups)
