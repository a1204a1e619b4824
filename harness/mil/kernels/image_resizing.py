"""Resizing, cropping and resampling of images. `x` [..., H, W], fp16, fp32.

Semantics: coremltools' documentation of `iOS15`, `iOS16`, `iOS17` `image_resizing`. Sampling positions are computed in
float64 in every mode: they are the geometry of the operator, not its arithmetic. Whether an infinity or NaN counts
where its weight is 0, and in which order the products are added, is not documented: interpolating them is noted.
"""

from __future__ import annotations

import functools

import numpy as np

from harness.mil.context import INDEX_OUT_OF_RANGE, UNDOCUMENTED, Context
from harness.mil.registry import Ints, kernel
from harness.mil.types import FLOAT64, Array

_CLAMPED_GRID_MODES = ("STRICT_ALIGN_CORNERS", "ALIGN_CORNERS", "DEFAULT", "OFFSET_CORNERS", "UNALIGN_CORNERS")


def grid(mode: str, size: float, count: int, first: float = 0.0) -> Array:
    """The `count` positions at which a stretch of `size` elements that begins at `first` is sampled, by the formulas of
    `resize_bilinear`, without their final clamping to the image."""
    i = np.arange(count, dtype=FLOAT64)
    if mode == "STRICT_ALIGN_CORNERS" or (mode == "ALIGN_CORNERS" and count > 1):
        positions = i * ((size - 1) / max(count - 1, 1))
    elif mode == "ALIGN_CORNERS":
        positions = np.full(count, (size - 1) / 2)
    elif mode == "DEFAULT":
        positions = i * ((size - size / count) / max(count - 1, 1))
    elif mode == "OFFSET_CORNERS":
        delta = max(1.0, size - 1) / count
        positions = 0.5 * delta + i * delta
    elif mode == "UNALIGN_CORNERS":
        positions = (i + 0.5) * (size / count) - 0.5
    else:
        raise ValueError(f"unknown sampling mode {mode!r}: one of {', '.join(_CLAMPED_GRID_MODES)}")
    return positions + first


def _note_non_finite(context: Context, x: Array) -> None:
    if not np.isfinite(x).all():
        context.note(UNDOCUMENTED, "interpolation between infinities or NaN")


def interpolate(context: Context, x: Array, axis: int, positions: Array) -> Array:
    """Linear interpolation of `x` along `axis` at positions in [0, size - 1]; those outside are clamped."""
    _note_non_finite(context, x)
    size = x.shape[axis]
    positions = np.clip(positions, 0, size - 1)
    low = np.floor(positions).astype(np.int64)
    high = np.minimum(low + 1, size - 1)
    weight = (positions - low).astype(x.dtype).reshape((-1,) + (1,) * (x.ndim - 1 - axis % x.ndim))
    below = np.take(x, low, axis)
    return below + (np.take(x, high, axis) - below) * weight


def nearest(x: Array, axis: int, positions: Array) -> Array:
    """Elements of `x` along `axis` at integer positions, clamped to it."""
    return np.take(x, np.clip(positions.astype(np.int64), 0, x.shape[axis] - 1), axis)


def _scaled(size: int, factor: float) -> int:
    """floor(size * factor) in fp32, the type of the factor: 20 times 0.9 is 18 there, and 17.9999995 in float64."""
    return int(np.floor(np.float32(size) * np.float32(factor)))


@kernel("upsample_nearest_neighbor")
def upsample_nearest_neighbor(
    context: Context, x: Array, scale_factor_height: float = 1.0, scale_factor_width: float = 1.0
) -> Array:
    """Nearest neighbour by scale factors. With a fractional factor the source index is not documented: we take
    floor(i * in / out), the factor recomputed from the rounded size as `upsample_bilinear` documents it for itself
    (the PyTorch frontend nudges factors so that the size comes out right, which leaves no other reading that agrees
    with PyTorch), and note where floor(i / factor) would be another element."""
    for axis, factor in ((-2, scale_factor_height), (-1, scale_factor_width)):
        size = x.shape[axis]
        i = np.arange(_scaled(size, factor))
        by_size = i * size // max(len(i), 1)
        if factor != int(factor) and (by_size != np.minimum(np.floor(i / factor), size - 1)).any():
            detail = f"nearest neighbour of a fractional factor {factor}"
            by_size = context.read(detail, by_size, functools.partial(np.floor, i / factor))
        x = nearest(x, axis, by_size)
    return x


@kernel("resize_nearest_neighbor")
def resize_nearest_neighbor(context: Context, x: Array, target_size_height: int, target_size_width: int) -> Array:
    """Nearest neighbour to a target size: source index floor(i * in / out), undocumented unless out is a multiple."""
    for axis, target in ((-2, target_size_height), (-1, target_size_width)):
        size = x.shape[axis]
        if target % size:
            context.note(UNDOCUMENTED, f"nearest neighbour from {size} to {target}")
        x = nearest(x, axis, np.arange(target) * size // target)
    return x


@kernel("upsample_bilinear")
def upsample_bilinear(
    context: Context,
    x: Array,
    scale_factor_height: float = 1.0,
    scale_factor_width: float = 1.0,
    align_corners: bool = True,
    half_pixel_centers: bool | None = None,
) -> Array:
    """Bilinear by scale factors, which are recomputed from the rounded size. With aligned corners the spacing is
    (in - 1) / (out - 1); else in / out, from half a pixel on when `half_pixel_centers` (iOS16; its default is not
    `align_corners`)."""
    half = not align_corners if half_pixel_centers is None else half_pixel_centers
    if align_corners and half:
        raise ValueError("align_corners and half_pixel_centers exclude each other")
    mode = "STRICT_ALIGN_CORNERS" if align_corners else "UNALIGN_CORNERS" if half else "DEFAULT"
    for axis, factor in ((-2, scale_factor_height), (-1, scale_factor_width)):
        size = x.shape[axis]
        x = interpolate(context, x, axis, grid(mode, size, _scaled(size, factor)))
    return x


@kernel("resize_bilinear")
def resize_bilinear(
    context: Context,
    x: Array,
    target_size_height: int = 1,
    target_size_width: int = 1,
    sampling_mode: str = "DEFAULT",
) -> Array:
    """Bilinear to a target size; the sampling modes are those of `grid`."""
    for axis, target in ((-2, target_size_height), (-1, target_size_width)):
        x = interpolate(context, x, axis, grid(sampling_mode, x.shape[axis], target))
    return x


@kernel("resize")
def resize(
    context: Context,
    x: Array,
    shape: Ints,
    resized_dims: int,
    interpolation_mode: str = "LINEAR",
    sampling_mode: str = "DEFAULT",
) -> Array:
    """The last `resized_dims` dimensions to the last sizes of `shape`, 0 keeping a size. Nearest neighbour takes the
    element at the floor of the sampling position, which is not documented."""
    for i in range(resized_dims):
        axis, target = i - resized_dims, shape[len(shape) - resized_dims + i]
        size = x.shape[axis]
        if target in (0, size):
            continue
        positions = grid(sampling_mode, size, target)
        if interpolation_mode == "LINEAR":
            x = interpolate(context, x, axis, positions)
        elif interpolation_mode == "NEAREST_NEIGHBOR":
            if (positions % 1).any():
                context.note(UNDOCUMENTED, f"nearest neighbour from {size} to {target}")
            x = nearest(x, axis, np.floor(positions))
        else:
            raise ValueError(f"unknown interpolation mode {interpolation_mode!r}")
    return x


_BOX_ORDERS = {  # position of h, w (start or centre) and h, w (end or size) in a box
    "CORNERS_HEIGHT_FIRST": (0, 1, 2, 3),
    "CORNERS_WIDTH_FIRST": (1, 0, 3, 2),
    "CENTER_SIZE_HEIGHT_FIRST": (0, 1, 2, 3),
    "CENTER_SIZE_WIDTH_FIRST": (1, 0, 3, 2),
}


def _corners(boxes: Array, mode: str) -> Array:
    """Boxes [N, 4] of a coordinate mode as (h start, w start, h end, w end)."""
    if mode not in _BOX_ORDERS:
        raise ValueError(f"unknown box coordinate mode {mode!r}")
    ordered = boxes[:, _BOX_ORDERS[mode]]
    if mode.startswith("CORNERS"):
        return ordered
    centre, size = ordered[:, :2], ordered[:, 2:]
    return np.concatenate([centre - size / 2, centre + size / 2], axis=1)


def _crop(context: Context, image: Array, box: Array, target: tuple[int, int], mode: str, pad_value: float) -> Array:
    """One box (h start, w start, h end, w end, in pixels) of an image [C, H, W], resized to `target`."""
    outside = np.zeros(target, bool)
    result = image
    for axis, (start, end, count) in enumerate(((box[0], box[2], target[0]), (box[1], box[3], target[1]))):
        positions = grid(mode, end - start + 1, count, start)
        beyond = (positions < 0) | (positions > image.shape[1 + axis] - 1)
        outside |= beyond[:, None] if axis == 0 else beyond[None, :]
        result = interpolate(context, result, 1 + axis, positions)
    if outside.any():
        context.note(UNDOCUMENTED, "sampling positions outside of the image")
        result = np.where(outside, result.dtype.type(pad_value), result)
    return result


@kernel("crop_resize")
def crop_resize(
    context: Context,
    x: Array,
    roi: Array | None = None,
    boxes: Array | None = None,
    box_indices: Ints | None = None,
    target_height: int = 1,
    target_width: int = 1,
    normalized_coordinates: bool = False,
    spatial_scale: float = 1.0,
    box_coordinate_mode: str = "CORNERS_HEIGHT_FIRST",
    sampling_mode: str = "DEFAULT",
    pad_value: float = 0.0,
) -> Array:
    """Boxes cut out of `x` [B, C, H, W] and resized bilinearly.

    iOS17: `boxes` [N, 4], box i of image box_indices[i] (i by default) -> [N, C, h, w]. Before: `roi` [N, 1, 4, 1, 1],
    every box of every image -> [N, B, C, h, w], or [N, 1, 5, 1, 1] with the image index first -> [N, 1, C, h, w].
    Normalised coordinates are multiplied by H - 1 and W - 1. A box covers both of its ends, so its size is end - start
    + 1, as the range [0, H - 1] of the coordinates implies; positions outside of the image are `pad_value`."""
    target = (target_height, target_width)
    given = boxes if boxes is not None else roi
    if given is None:
        raise ValueError("neither boxes nor roi")
    table = given.astype(FLOAT64).reshape(given.shape[0], int(np.prod(given.shape[1:])))
    images = None
    if boxes is not None:
        images = tuple(range(len(table))) if box_indices is None else box_indices
    elif table.shape[1] == 5:
        images, table = tuple(int(i) for i in table[:, 0]), table[:, 1:]
    limits = np.array([x.shape[2] - 1, x.shape[3] - 1] * 2, FLOAT64)
    corners = _corners(table, box_coordinate_mode) * spatial_scale * (limits if normalized_coordinates else 1.0)
    if images is not None and any(not 0 <= i < x.shape[0] for i in images):
        context.note(INDEX_OUT_OF_RANGE, f"image index of a batch of {x.shape[0]}")
        images = tuple(min(max(i, 0), x.shape[0] - 1) for i in images)

    if not len(table):
        images_of_box = () if boxes is not None else (1 if images is not None else x.shape[0],)
        return np.zeros((0, *images_of_box, x.shape[1], *target), x.dtype)

    def cut(image: Array, box: Array) -> Array:
        return _crop(context, image, box, target, sampling_mode, pad_value)

    if boxes is not None and images is not None:
        return np.stack([cut(x[i], box) for i, box in zip(images, corners, strict=True)])
    if images is not None:
        return np.stack([cut(x[i], box)[None] for i, box in zip(images, corners, strict=True)])
    return np.stack([np.stack([cut(image, box) for image in x]) for box in corners])


def _pixel(coordinate: Array, size: int, mode: str, align_corners: bool) -> Array:
    """Coordinates of a mode as positions in pixels."""
    if mode == "unnormalized":
        return coordinate
    if mode == "normalized_minus_one_to_one":
        unit = (coordinate + 1) / 2
    elif mode == "normalized_zero_to_one":
        unit = coordinate
    else:
        raise ValueError(f"unknown coordinates mode {mode!r}")
    return unit * (size - 1) if align_corners else unit * size - 0.5


def _folded(position: Array, size: int, padding: str) -> Array:
    """Positions brought into the image by a padding mode other than `constant`."""
    if padding == "border" or size == 1:
        return np.clip(position, 0, size - 1)
    if padding == "reflection":  # the edge is not repeated: period 2 (size - 1)
        period = 2.0 * (size - 1)
        folded = np.mod(position, period)
        return np.where(folded > size - 1, period - folded, folded)
    if padding == "symmetric":  # the edge is repeated: the mirror is half a pixel outside
        period = 2.0 * size
        folded = np.mod(position + 0.5, period)
        return np.clip(np.where(folded > size, period - folded, folded) - 0.5, 0, size - 1)
    raise ValueError(f"unknown padding mode {padding!r}")


def _sample(image: Array, row: Array, column: Array, sampling: str, padding: str, padding_value: float) -> Array:
    """Pixels of an image [C, H, W] at positions [h, w] -> [C, h, w]."""
    _, height, width = image.shape
    if padding != "constant":
        row, column = _folded(row, height, padding), _folded(column, width, padding)

    def pixel(r: Array, c: Array) -> Array:
        inside = (r >= 0) & (r < height) & (c >= 0) & (c < width)
        value = image[:, np.clip(r, 0, height - 1).astype(np.int64), np.clip(c, 0, width - 1).astype(np.int64)]
        return np.where(inside, value, image.dtype.type(padding_value))

    if sampling == "nearest":
        return pixel(np.rint(row), np.rint(column))
    if sampling != "bilinear":
        raise ValueError(f"unknown sampling mode {sampling!r}")
    top, left = np.floor(row), np.floor(column)
    down, right = (row - top).astype(image.dtype), (column - left).astype(image.dtype)
    above = pixel(top, left) * (1 - right) + pixel(top, left + 1) * right
    below = pixel(top + 1, left) * (1 - right) + pixel(top + 1, left + 1) * right
    return above * (1 - down) + below * down


@kernel("resample")
def resample(
    context: Context,
    x: Array,
    coordinates: Array,
    sampling_mode: str,
    padding_mode: str,
    padding_value: float,
    coordinates_mode: str,
    align_corners: bool,
) -> Array:
    """x[b] at coordinates[b, h, w] = (column, row). `x` [B, C, H, W], `coordinates` [B, h, w, 2] -> [B, C, h, w].

    Outside of the image the padding decides: constant, border, reflection (edge not repeated), symmetric (edge
    repeated). `nearest` rounds half to even, as PyTorch's grid_sample does; the documentation leaves it open."""
    positions = coordinates.astype(FLOAT64)
    mode = coordinates_mode.lower()
    column = _pixel(positions[..., 0], x.shape[3], mode, align_corners)
    row = _pixel(positions[..., 1], x.shape[2], mode, align_corners)
    if padding_mode == "reflection" and not align_corners and mode != "unnormalized":
        context.note(UNDOCUMENTED, "reflection without aligned corners")
    if not (np.isfinite(row).all() and np.isfinite(column).all()):
        context.note(UNDOCUMENTED, "coordinates that are not finite")
        row, column = np.nan_to_num(row, nan=-1.0), np.nan_to_num(column, nan=-1.0)
    if sampling_mode.lower() == "bilinear":
        _note_non_finite(context, x)
    result = np.empty((*x.shape[:2], *positions.shape[1:3]), x.dtype)
    for i, (image, r, c) in enumerate(zip(x, row, column, strict=True)):
        result[i] = _sample(image, r, c, sampling_mode.lower(), padding_mode.lower(), padding_value)
    return result


@kernel("affine")
def affine(
    context: Context,
    x: Array,
    transform_matrix: Array,
    output_height: int,
    output_width: int,
    sampling_mode: str,
    padding_mode: str,
    padding_value: float,
    coordinates_mode: str,
    align_corners: bool,
) -> Array:
    """`resample` of `x` [B, C, H, W] at x' = a0 x + a1 y + a2, y' = b0 x + b1 y + b2, where (x, y) runs over the output
    in the same coordinates; `transform_matrix` [B or 1, (a0, a1, a2, b0, b1, b2)]."""

    def axis(count: int) -> Array:
        if coordinates_mode.lower() == "unnormalized":
            return np.arange(count, dtype=FLOAT64)
        unit = np.arange(count) / max(count - 1, 1) if align_corners else (np.arange(count) + 0.5) / count
        return unit if coordinates_mode.lower() == "normalized_zero_to_one" else unit * 2 - 1

    columns, rows = np.meshgrid(axis(output_width), axis(output_height))
    grid_points = np.stack([columns, rows, np.ones_like(columns)])  # [3, h, w]
    matrices = np.broadcast_to(transform_matrix.astype(FLOAT64).reshape(-1, 2, 3), (x.shape[0], 2, 3))
    coordinates = np.einsum("bij,jhw->bhwi", matrices, grid_points)
    return resample(
        context, x, coordinates, sampling_mode, padding_mode, padding_value, coordinates_mode, align_corners
    )
