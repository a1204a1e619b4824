"""Data movement: the values of `x` at other places, any data type, nothing computed.

Semantics: coremltools' documentation of `iOS15`, `iOS16`, `iOS17`, `iOS18` `tensor_transformation`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from harness.mil.context import UNDOCUMENTED, Context
from harness.mil.kernels._common import normalize_axis
from harness.mil.registry import Arrays, Ints, kernel
from harness.mil.types import Array

_IOS17 = 7  # its opset is called CoreML7


@kernel("identity", raw=True)
def identity(context: Context, x: Array) -> Array:
    """`x` itself."""
    return x


@kernel("expand_dims", raw=True)
def expand_dims(context: Context, x: Array, axes: Ints) -> Array:
    """Dimensions of size 1 at `axes`, which count in the result."""
    return np.expand_dims(x, axes)


@kernel("squeeze", raw=True)
def squeeze(context: Context, x: Array, axes: Ints | None = None) -> Array:
    """Without the dimensions of size 1 (those of `axes` only, when given). Others are left, as PyTorch does it."""
    if axes is None:
        return np.squeeze(x)
    positions = {normalize_axis(a, x.ndim) for a in axes}
    return x.reshape([s for i, s in enumerate(x.shape) if i not in positions or s != 1])


@kernel("reshape", raw=True)
def reshape(context: Context, x: Array, shape: Ints) -> Array:
    """The values of `x`, in row-major order, with as many elements in another shape; any data type.

    A size of 0 takes that of `x`, also where that is 0: from iOS17 on the dimension as far from the right, 1 where `x`
    has none; before, the ranks must be equal. One -1 is what is left; beside a size of 0 any would do, which is
    undocumented: we give 0, as coremltools' type inference does. Source: `iOS15.reshape` and `iOS17.reshape`."""
    target = list(shape)
    if target.count(-1) > 1 or min(target, default=0) < -1:
        raise ValueError(f"shape {target}: one -1 at most, and nothing below it")
    if 0 in target:
        if context.opset < _IOS17 and len(target) != x.ndim:
            raise ValueError(f"shape {target}: before iOS17, 0 needs the rank of x, which is {x.ndim}")
        first = x.ndim - len(target)
        target = [s if s != 0 else (x.shape[first + i] if first + i >= 0 else 1) for i, s in enumerate(target)]
    if -1 in target:
        others = math.prod(s for s in target if s != -1)
        if others == 0:
            context.note(UNDOCUMENTED, "reshape to -1 beside a size of 0")
        target[target.index(-1)] = x.size // others if others else 0
    return x.reshape(target)


@kernel("reshape_like", raw=True)
def reshape_like(
    context: Context, x: Array, ref_tensors: Arrays, begins: Arrays, ends: Arrays, end_masks: Arrays
) -> Array:
    """`x` with the shape ref_tensors[0].shape[begins[0]:ends[0]] + ...; an end is open where its mask is true."""
    shape: tuple[int, ...] = ()
    for tensor, begin, end, mask in zip(ref_tensors, begins, ends, end_masks, strict=True):
        shape += tensor.shape[int(begin) : None if mask else int(end)]
    return x.reshape(shape)


@kernel("transpose", raw=True)
def transpose(context: Context, x: Array, perm: Ints) -> Array:
    """Dimension i of the result is dimension perm[i] of `x`."""
    return np.transpose(x, perm) if x.ndim else x


@kernel("flatten2d", raw=True)
def flatten2d(context: Context, x: Array, axis: int = 1) -> Array:
    """[product of the sizes before `axis`, product of the others]."""
    return x.reshape(int(np.prod(x.shape[:axis], dtype=np.int64)), int(np.prod(x.shape[axis:], dtype=np.int64)))


@kernel("reverse", raw=True)
def reverse(context: Context, x: Array, axes: Ints | None = None) -> Array:
    """`x` backwards along `axes`, or along all."""
    return np.flip(x, axes)


@kernel("reverse_sequence", raw=True)
def reverse_sequence(context: Context, x: Array, lengths: Ints, seq_axis: int = 0, batch_axis: int = 0) -> Array:
    """Of entry b along `batch_axis`, the first lengths[b] elements along `seq_axis` backwards; the rest stays."""
    result = x.copy()
    moved = np.moveaxis(result, (batch_axis, seq_axis), (0, 1))
    if any(not 0 <= length <= moved.shape[1] for length in lengths):
        raise ValueError(f"lengths {list(lengths)} in a dimension of {moved.shape[1]}")
    if len(lengths) != moved.shape[0]:
        raise ValueError(f"{len(lengths)} lengths for a batch of {moved.shape[0]}")
    for row, length in zip(moved, lengths, strict=True):
        row[:length] = row[:length][::-1].copy()
    return result


def index_of_slice(
    shape: Sequence[int],
    begin: Ints,
    end: Ints,
    stride: Ints | None,
    begin_mask: Ints | None,
    end_mask: Ints | None,
    squeeze_mask: Ints | None,
) -> tuple[slice | int, ...]:
    """The numpy index `slice_by_index` describes: negative begins and ends count from the end, values outside are
    clamped, a mask opens that side of the slice, a squeeze mask picks one element."""
    rank = len(shape)
    stride = stride or (1,) * rank
    opened = begin_mask or (0,) * rank
    open_end = end_mask or (0,) * rank
    single = squeeze_mask or (0,) * rank
    index: list[slice | int] = []
    for i in range(rank):
        if single[i]:
            index.append(0 if opened[i] else begin[i])
            continue
        index.append(slice(None if opened[i] else begin[i], None if open_end[i] else end[i], stride[i]))
    return tuple(index)


@kernel("slice_by_index", raw=True)
def slice_by_index(
    context: Context,
    x: Array,
    begin: Ints,
    end: Ints,
    stride: Ints | None = None,
    begin_mask: Ints | None = None,
    end_mask: Ints | None = None,
    squeeze_mask: Ints | None = None,
) -> Array:
    """x[begin[0]:end[0]:stride[0], ...] as numpy does it; see `index_of_slice`."""
    return x[index_of_slice(x.shape, begin, end, stride, begin_mask, end_mask, squeeze_mask)]


@kernel("slice_update", raw=True, same=("x", "update"))
def slice_update(
    context: Context,
    x: Array,
    update: Array,
    begin: Ints,
    end: Ints,
    stride: Ints | None = None,
    begin_mask: Ints | None = None,
    end_mask: Ints | None = None,
    squeeze_mask: Ints | None = None,
) -> Array:
    """A copy of `x` with `update` in the place `slice_by_index` would read; the shapes must be the same."""
    index = index_of_slice(x.shape, begin, end, stride, begin_mask, end_mask, squeeze_mask)
    result = x.copy()
    if result[index].shape != update.shape:
        raise ValueError(f"update of shape {update.shape} for a slice of shape {result[index].shape}")
    result[index] = update
    return result


@kernel("slice_by_size", raw=True)
def slice_by_size(context: Context, x: Array, begin: Ints, size: Ints) -> Array:
    """size[i] elements from begin[i] on, all that are left for -1; a negative begin counts from the end."""
    index = []
    for length, start, count in zip(x.shape, begin, size, strict=True):
        first = start + length if start < 0 else start
        stop = length if count == -1 else first + count
        if not 0 <= first <= stop <= length:
            raise ValueError(f"slice of {count} from {start} in a dimension of {length}")
        index.append(slice(first, stop))
    return x[tuple(index)]


@kernel("sliding_windows", raw=True)
def sliding_windows(context: Context, x: Array, axis: int, size: int, stride: int = 1) -> Array:
    """Windows of `size` along `axis`, `stride` apart: [..., number of windows, size, ...]."""
    axis = normalize_axis(axis, x.ndim)
    windows = np.lib.stride_tricks.sliding_window_view(x, size, axis)  # the window is the last dimension
    windows = np.moveaxis(windows, -1, axis + 1)
    return windows[(slice(None),) * axis + (slice(None, None, stride),)]


def _blocks(x: Array, factor: int) -> tuple[int, int, int, int]:
    if x.ndim != 4:
        raise ValueError(f"rank 4 is needed, not {x.ndim}")
    return x.shape[0], x.shape[1], x.shape[2], x.shape[3]


@kernel("depth_to_space", raw=True)
def depth_to_space(context: Context, x: Array, block_size: int) -> Array:
    """[n, C, H, W] -> [n, C/b^2, H b, W b]. The block position is the slow part of the channel: c = (i b + j) C' + c',
    as TensorFlow's operator of this name does it; the documentation shows the shapes only."""
    n, c, h, w = _blocks(x, block_size)
    b = block_size
    split = x.reshape(n, b, b, c // (b * b), h, w)
    return split.transpose(0, 3, 4, 1, 5, 2).reshape(n, c // (b * b), h * b, w * b)


@kernel("space_to_depth", raw=True)
def space_to_depth(context: Context, x: Array, block_size: int) -> Array:
    """[n, C, H, W] -> [n, C b^2, H/b, W/b], the inverse of `depth_to_space`."""
    n, c, h, w = _blocks(x, block_size)
    b = block_size
    split = x.reshape(n, c, h // b, b, w // b, b)
    return split.transpose(0, 3, 5, 1, 2, 4).reshape(n, c * b * b, h // b, w // b)


@kernel("pixel_shuffle", raw=True)
def pixel_shuffle(context: Context, x: Array, upscale_factor: int) -> Array:
    """[n, C f^2, H, W] -> [n, C, H f, W f] as PyTorch's PixelShuffle: the block position is the fast part of the
    channel."""
    n, c, h, w = _blocks(x, upscale_factor)
    f = upscale_factor
    split = x.reshape(n, c // (f * f), f, f, h, w)
    return split.transpose(0, 1, 4, 2, 5, 3).reshape(n, c // (f * f), h * f, w * f)


@kernel("pixel_unshuffle", raw=True)
def pixel_unshuffle(context: Context, x: Array, downscale_factor: int) -> Array:
    """[n, C, H, W] -> [n, C f^2, H/f, W/f] as PyTorch's PixelUnshuffle."""
    n, c, h, w = _blocks(x, downscale_factor)
    f = downscale_factor
    split = x.reshape(n, c, h // f, f, w // f, f)
    return split.transpose(0, 1, 3, 5, 2, 4).reshape(n, c * f * f, h // f, w // f)


@kernel("space_to_batch", raw=True)
def space_to_batch(context: Context, x: Array, block_shape: Ints, paddings: Array) -> Array:
    """Zero-pad the spatial dimensions of [n, C, H, W], then move their blocks in front of the batch: entry
    (i b1 + j) n + k of the result holds the pixels (i, j) of the blocks of image k, as TensorFlow does it."""
    n, c, _, _ = _blocks(x, 1)
    b0, b1 = block_shape
    padded = np.pad(x, [(0, 0), (0, 0), *((int(a), int(b)) for a, b in np.asarray(paddings))])
    h, w = padded.shape[2] // b0, padded.shape[3] // b1
    split = padded.reshape(n, c, h, b0, w, b1)
    return split.transpose(3, 5, 0, 1, 2, 4).reshape(n * b0 * b1, c, h, w)


@kernel("batch_to_space", raw=True)
def batch_to_space(context: Context, x: Array, block_shape: Ints, crops: Array) -> Array:
    """The inverse of `space_to_batch`, then `crops` elements are cut off each side of the spatial dimensions."""
    n, c, h, w = _blocks(x, 1)
    b0, b1 = block_shape
    split = x.reshape(b0, b1, n // (b0 * b1), c, h, w)
    whole = split.transpose(2, 3, 4, 0, 5, 1).reshape(n // (b0 * b1), c, h * b0, w * b1)
    (top, bottom), (left, right) = ((int(a), int(b)) for a, b in np.asarray(crops))
    return whole[:, :, top : whole.shape[2] - bottom, left : whole.shape[3] - right]


@kernel("concat", raw=True)
def concat(context: Context, values: Arrays, axis: int, interleave: bool = False) -> Array:
    """The values one after the other along `axis`; interleaved, element i of each before element i + 1 of any.
    Scalars become a vector."""
    if all(v.ndim == 0 for v in values):
        return np.stack(values)
    if not interleave:
        return np.concatenate(values, axis)
    axis = normalize_axis(axis, values[0].ndim)
    stacked = np.stack(values, axis + 1)
    shape = list(values[0].shape)
    shape[axis] *= len(values)
    return stacked.reshape(shape)


@kernel("stack", raw=True)
def stack(context: Context, values: Arrays, axis: int) -> Array:
    """The values, all of one shape, along a new dimension `axis`."""
    return np.stack(values, axis)


@kernel("split", raw=True)
def split(
    context: Context, x: Array, axis: int, num_splits: int | None = None, split_sizes: Ints | None = None
) -> list[Array]:
    """Parts of `split_sizes` along `axis`, or `num_splits` equal ones."""
    if split_sizes is None:
        if num_splits is None:
            raise ValueError("neither num_splits nor split_sizes")
        return np.split(x, num_splits, axis)
    if sum(split_sizes) != x.shape[axis]:
        raise ValueError(f"split_sizes {split_sizes} of a dimension of {x.shape[axis]}")
    return np.split(x, np.cumsum(split_sizes)[:-1].tolist(), axis)


@kernel("tile", raw=True)
def tile(context: Context, x: Array, reps: Ints) -> Array:
    """`x` reps[i] times along dimension i. MIL wants positive repeats: zero is undocumented, we give an empty
    tensor."""
    if len(reps) != x.ndim:
        raise ValueError(f"{len(reps)} repeats for rank {x.ndim}")
    if 0 in reps:
        context.note(UNDOCUMENTED, "tile with zero repeats")
    return np.tile(x, reps)


@kernel("crop", raw=True)
def crop(context: Context, x: Array, crop_height: Ints, crop_width: Ints) -> Array:
    """Without the first and last elements of the last two dimensions: (before, after) for the height and width."""
    top, bottom = crop_height
    left, right = crop_width
    return x[..., top : x.shape[-2] - bottom, left : x.shape[-1] - right]
