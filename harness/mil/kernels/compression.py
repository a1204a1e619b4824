"""Compressed constants (`constexpr_*`), expanded once when a function is first run: from integers of 1 to 8 bits to the
fp16 or fp32 of the scale or the table, or between tensors of one type for sparse ones.

Semantics: coremltools' documentation of `iOS16.constexpr_ops` and `iOS18.compression`. Where the two have an operator
of one name, the parameters tell them apart.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.mil.context import Context
from harness.mil.kernels.quantization import dequantize
from harness.mil.registry import Ints, kernel
from harness.mil.types import Array, numpy_dtype, unpack_bits


@kernel("constexpr_affine_dequantize", raw=True)
def constexpr_affine_dequantize(
    context: Context, quantized_data: Array, zero_point: Array, scale: Array, axis: int
) -> Array:
    """scale * (quantized_data - zero_point); vectors run along `axis`."""
    return dequantize(context, quantized_data, scale, zero_point, axis)


@kernel("constexpr_cast", raw=True)
def constexpr_cast(context: Context, source_val: Array, output_dtype: str) -> Array:
    """`source_val` (fp16, any shape) as fp32."""
    return source_val.astype(context.stored(numpy_dtype(output_dtype)))


def _expanded(parameter: Array, shape: tuple[int, ...]) -> Array:
    """One entry for each block of a tensor of `shape`, repeated over its block; the sizes must divide."""
    if parameter.ndim != len(shape):
        raise ValueError(f"rank {parameter.ndim} for data of rank {len(shape)}")
    for axis, size in enumerate(shape):
        if size % parameter.shape[axis]:
            raise ValueError(f"{parameter.shape[axis]} blocks in a dimension of {size}")
        parameter = np.repeat(parameter, size // parameter.shape[axis], axis)
    return parameter


@kernel("constexpr_blockwise_shift_scale", raw=True)
def constexpr_blockwise_shift_scale(context: Context, data: Array, scale: Array, offset: Array | None = None) -> Array:
    """scale * (data - offset) with one scale and offset for each block; `scale` and `offset` have the rank of `data`
    and a divisor of its size in every dimension."""
    compute: np.dtype[Any] = np.dtype(np.float64) if scale.dtype.itemsize > 4 else np.dtype(np.float32)
    values = data.astype(compute)
    if offset is not None:
        values = values - _expanded(offset, data.shape).astype(compute)
    return (_expanded(scale, data.shape).astype(compute) * values).astype(scale.dtype)


@kernel("constexpr_lut_to_dense", raw=True)
def constexpr_lut_to_dense(
    context: Context, indices: Array, lut: Array, shape: Ints | None = None, vector_axis: int | None = None
) -> Array:
    """Entries of a look-up table.

    iOS16 (`shape` given): `indices` are packed bytes, least significant bits first, `lut` is a vector of 2^bits. iOS18:
    `indices` has the shape of the result (over `vector_axis`, divided by VECTOR_SIZE), `lut` is [blocks of each
    dimension of the indices..., 2^bits, VECTOR_SIZE]; each index gives a vector laid along `vector_axis`."""
    if shape is not None:
        count = int(np.prod(shape, dtype=np.int64))
        return lut[unpack_bits(indices, lut.size.bit_length() - 1, count)].reshape(shape)
    if lut.ndim != indices.ndim + 2:
        raise ValueError(f"a table of rank {lut.ndim} for indices of rank {indices.ndim}")
    blocks = [
        np.arange(size).reshape((-1,) + (1,) * (indices.ndim - 1 - axis)) // (size // lut.shape[axis])
        for axis, size in enumerate(indices.shape)
    ]
    vectors = lut[(*blocks, indices.astype(np.int64))]  # [*indices.shape, VECTOR_SIZE]
    if vectors.shape[-1] == 1:
        return vectors[..., 0]
    if vector_axis is None:
        raise ValueError("a table of vectors needs a vector_axis")
    axis = vector_axis % indices.ndim
    moved = np.moveaxis(vectors, -1, axis + 1)
    return moved.reshape([s * (vectors.shape[-1] if i == axis else 1) for i, s in enumerate(indices.shape)])


@kernel("constexpr_sparse_to_dense", raw=True)
def constexpr_sparse_to_dense(context: Context, nonzero_data: Array, mask: Array, shape: Ints | None = None) -> Array:
    """`nonzero_data`, in order, where the mask is set, 0 elsewhere. iOS16: `mask` is packed bits of a tensor of
    `shape`; iOS18: a uint1 tensor."""
    bits = mask if shape is None else unpack_bits(mask, 1, int(np.prod(shape, dtype=np.int64))).reshape(shape)
    result = np.zeros(bits.shape, nonzero_data.dtype)
    result[bits != 0] = nonzero_data
    return result


@kernel("constexpr_lut_to_sparse", raw=True)
def constexpr_lut_to_sparse(
    context: Context, indices_mask: Array, indices_nonzero_data: Array, lut: Array, vector_axis: int | None = None
) -> list[Array]:
    """`constexpr_lut_to_dense` on sparse indices: the mask, widened over `vector_axis`, and the values it marks."""
    indices = constexpr_sparse_to_dense(context, indices_nonzero_data, indices_mask)
    dense = constexpr_lut_to_dense(context, indices, lut, None, vector_axis)
    mask = indices_mask if vector_axis is None else np.repeat(indices_mask, lut.shape[-1], vector_axis)
    return [mask, dense[mask != 0]]


@kernel("constexpr_sparse_blockwise_shift_scale", raw=True)
def constexpr_sparse_blockwise_shift_scale(
    context: Context, data_mask: Array, nonzero_data: Array, scale: Array, offset: Array | None = None
) -> list[Array]:
    """`constexpr_blockwise_shift_scale` on sparse data: the mask and the values it marks."""
    dense = constexpr_sparse_to_dense(context, nonzero_data, data_mask)
    return [data_mask, constexpr_blockwise_shift_scale(context, dense, scale, offset)[data_mask != 0]]
