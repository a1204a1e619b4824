"""Properties of `image_resizing`: every output pixel from its own sampling position, four neighbours at most."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st
from kernel_properties.draw import FLOATS, FP32, INT32, Draw, built, calls, modes, pick, shapes, some, values
from kernel_properties.table import Call, declare

_MODES = ("STRICT_ALIGN_CORNERS", "ALIGN_CORNERS", "DEFAULT", "OFFSET_CORNERS", "UNALIGN_CORNERS")
_BOUND: dict[str, Any] = {"ulps": 2, "slack": 4}


def _image(draw: Draw, rng: np.random.Generator, low: int = 2, high: int = 4) -> Any:
    return values(rng, draw(shapes(low, high, 1, 4)), draw(st.sampled_from(FLOATS)), -8, 8)


def _position(mode: str, i: int, size: float, count: int) -> float:
    """The documented sampling position of output i, before it is clamped."""
    if mode == "STRICT_ALIGN_CORNERS" or (mode == "ALIGN_CORNERS" and count > 1):
        return i * (size - 1) / (count - 1) if count > 1 else 0.0
    if mode == "ALIGN_CORNERS":
        return (size - 1) / 2
    if mode == "DEFAULT":
        return i * (size - size / count) / (count - 1) if count > 1 else 0.0
    if mode == "OFFSET_CORNERS":
        return (i + 0.5) * max(1.0, size - 1) / count
    return (i + 0.5) * size / count - 0.5


def _blend(line: Callable[[int], float], size: int, position: float) -> float:
    """Between the two elements around a position, clamped to [0, size - 1]."""
    position = min(max(position, 0.0), size - 1.0)
    low = int(position)
    rest = position - low
    return line(low) * (1 - rest) + (line(low + 1) * rest if rest else 0.0)


def _bilinear(x: Any, height: int, width: int, position: Callable[[int, int, int], float]) -> Any:
    """`position(i, size, count)` along both of the last dimensions."""
    h, w = x.shape[-2:]

    def element(at: tuple[int, ...]) -> float:
        row, column = position(at[-2], h, height), position(at[-1], w, width)
        return _blend(lambda r: _blend(lambda c: float(x[(*at[:-2], r, c)]), w, column), h, row)

    return built((*x.shape[:-2], height, width), np.float64, element)


def _nearest(x: Any, height: int, width: int) -> Any:
    h, w = x.shape[-2:]
    return built(
        (*x.shape[:-2], height, width),
        x.dtype,
        lambda at: x[(*at[:-2], at[-2] * h // height, at[-1] * w // width)],
    )


def _factors(draw: Draw, x: Any) -> dict[str, Any]:
    """Scale factors, whole or fractional, that leave at least one row and column."""
    given = {}
    for name, size in (("scale_factor_height", x.shape[-2]), ("scale_factor_width", x.shape[-1])):
        if draw(st.booleans()):
            given[name] = draw(st.sampled_from([f for f in (1.0, 2.0, 3.0, 1.5, 0.5, 0.75) if f * size >= 1]))
    return given


def _upsample_calls(draw: Draw, rng: np.random.Generator) -> Call:
    x = _image(draw, rng)
    return Call({"x": x} | _factors(draw, x), mode=draw(modes(x.dtype)))


def _sizes(x: Any, scale_factor_height: float, scale_factor_width: float) -> tuple[int, int]:
    return math.floor(x.shape[-2] * scale_factor_height), math.floor(x.shape[-1] * scale_factor_width)


declare(
    "upsample_nearest_neighbor",
    calls(_upsample_calls),
    lambda x, scale_factor_height=1.0, scale_factor_width=1.0: _nearest(
        x, *_sizes(x, scale_factor_height, scale_factor_width)
    ),
)


def _upsample_bilinear_calls(draw: Draw, rng: np.random.Generator) -> Call:
    x = _image(draw, rng)
    aligned = pick(draw, None, True, False, False, False)
    given: dict[str, Any] = {} if aligned is None else {"align_corners": aligned}
    half = pick(draw, None, True, False, False) if aligned is False else None
    given |= {} if half is None else {"half_pixel_centers": half}
    return Call({"x": x} | _factors(draw, x) | given, mode=draw(modes(x.dtype)))


def _upsample_bilinear(
    x: Any,
    scale_factor_height: float = 1.0,
    scale_factor_width: float = 1.0,
    align_corners: bool = True,
    half_pixel_centers: bool | None = None,
) -> Any:
    def position(i: int, size: int, count: int) -> float:
        if align_corners:
            return i * (size - 1) / (count - 1) if count > 1 else 0.0
        half = half_pixel_centers is None or half_pixel_centers
        return (i + 0.5) * size / count - 0.5 if half else i * size / count

    return _bilinear(x, *_sizes(x, scale_factor_height, scale_factor_width), position)


declare("upsample_bilinear", calls(_upsample_bilinear_calls), _upsample_bilinear, **_BOUND)


def _target(draw: Draw) -> dict[str, Any]:
    return {"target_size_height": draw(st.integers(1, 7)), "target_size_width": draw(st.integers(1, 7))}


def _resize_nearest_calls(draw: Draw, rng: np.random.Generator) -> Call:
    x = _image(draw, rng)
    return Call({"x": x} | _target(draw), mode=draw(modes(x.dtype)))


declare(
    "resize_nearest_neighbor",
    calls(_resize_nearest_calls),
    lambda x, target_size_height, target_size_width: _nearest(x, target_size_height, target_size_width),
    kinds=lambda x, target_size_height, target_size_width, **more: (
        {"undocumented"} if target_size_height % x.shape[-2] or target_size_width % x.shape[-1] else set()
    ),
)


def _resize_bilinear_calls(draw: Draw, rng: np.random.Generator) -> Call:
    x = _image(draw, rng)
    given = _target(draw) | some(draw, sampling_mode=list(_MODES))
    return Call({"x": x} | given, mode=draw(modes(x.dtype)))


def _resize_bilinear(
    x: Any, target_size_height: int = 1, target_size_width: int = 1, sampling_mode: str = "DEFAULT"
) -> Any:
    return _bilinear(x, target_size_height, target_size_width, lambda i, s, n: _position(sampling_mode, i, s, n))


declare("resize_bilinear", calls(_resize_bilinear_calls), _resize_bilinear, **_BOUND)


def _resize_calls(draw: Draw, rng: np.random.Generator) -> Call:
    x = _image(draw, rng, 2, 3)
    dims = draw(st.integers(1, 2))
    sizes = tuple(pick(draw, 0, *range(1, 7)) for _ in range(dims))
    given = some(draw, interpolation_mode=["LINEAR", "NEAREST_NEIGHBOR"], sampling_mode=list(_MODES))
    lead = x.shape[: draw(st.integers(0, x.ndim - dims))]
    return Call({"x": x, "shape": lead + sizes, "resized_dims": dims} | given, mode=draw(modes(x.dtype)))


def _resize(
    x: Any, shape: Any, resized_dims: int, interpolation_mode: str = "LINEAR", sampling_mode: str = "DEFAULT"
) -> Any:
    x = x.astype(np.float64)
    for i in range(-resized_dims, 0):
        target = shape[i] or x.shape[i]
        size = x.shape[i]

        def element(
            at: tuple[int, ...], axis: int = x.ndim + i, n: int = target, source: Any = x, s: int = size
        ) -> float:
            def line(p: int) -> float:
                return float(source[(*at[:axis], p, *at[axis + 1 :])])

            if n == s:
                return line(at[axis])
            position = _position(sampling_mode, at[axis], s, n)
            if interpolation_mode == "LINEAR":
                return _blend(line, s, position)
            return line(min(max(math.floor(position), 0), s - 1))

        full = (*x.shape[: x.ndim + i], target, *x.shape[x.ndim + i + 1 :])
        x = built(full, np.float64, element)
    return x


declare("resize", calls(_resize_calls), _resize, **_BOUND)

# --- crop_resize

_ORDERS = ("CORNERS_HEIGHT_FIRST", "CORNERS_WIDTH_FIRST", "CENTER_SIZE_HEIGHT_FIRST", "CENTER_SIZE_WIDTH_FIRST")


def _crop_calls(draw: Draw, rng: np.random.Generator) -> Call:
    dtype = draw(st.sampled_from(FLOATS))
    b, c, h, w = draw(st.integers(1, 3)), draw(st.integers(1, 2)), draw(st.integers(1, 5)), draw(st.integers(1, 5))
    n = pick(draw, 1, 2, 2, 1, 1, 0)
    normalized = draw(st.booleans())
    low = values(rng, (n, 2), np.dtype(np.float64), 0, 0.5 if normalized else 1.5)
    boxes = np.concatenate([low, low + values(rng, (n, 2), np.dtype(np.float64), 0.125, 1)], 1).astype(dtype)
    given: dict[str, Any] = some(draw, spatial_scale=[0.5, 2.0], box_coordinate_mode=list(_ORDERS), pad_value=[3.0])
    given |= some(draw, target_height=[1, 2, 3], target_width=[1, 2, 3], sampling_mode=list(_MODES))
    if normalized or draw(st.booleans()):
        given["normalized_coordinates"] = normalized
    indices = rng.integers(0, b, n)
    opset = pick(draw, 6, 7, 8)
    if opset >= 7:
        given["boxes"] = boxes
        given |= {"box_indices": indices.astype(INT32)} if draw(st.integers(0, 3)) or n > b else {}
    elif draw(st.booleans()):
        given["roi"] = np.concatenate([indices[:, None].astype(dtype), boxes], 1).reshape(n, 1, 5, 1, 1)
    else:
        given["roi"] = boxes.reshape(n, 1, 4, 1, 1)
    return Call({"x": values(rng, (b, c, h, w), dtype, -8, 8)} | given, opset=opset, mode=draw(modes(dtype)))


def _crop_resize(
    x: Any,
    roi: Any = None,
    boxes: Any = None,
    box_indices: Any = None,
    target_height: int = 1,
    target_width: int = 1,
    normalized_coordinates: bool = False,
    spatial_scale: float = 1.0,
    box_coordinate_mode: str = "CORNERS_HEIGHT_FIRST",
    sampling_mode: str = "DEFAULT",
    pad_value: float = 0.0,
) -> Any:
    batch, channels, h, w = x.shape
    target = (target_height, target_width)
    rows = (
        (boxes if roi is None else roi)
        .reshape(-1, 4 if boxes is not None else roi.shape[2])
        .astype(np.float64)
        .tolist()
    )

    def pixel(image: int, c: int, box: list[float], i: int, j: int) -> float:
        if box_coordinate_mode.startswith("CORNERS"):
            a, b, d, e = box
        else:
            a, b, d, e = box[0] - box[2] / 2, box[1] - box[3] / 2, box[0] + box[2] / 2, box[1] + box[3] / 2
        top, left, bottom, right = (b, a, e, d) if "WIDTH_FIRST" in box_coordinate_mode else (a, b, d, e)
        positions = []
        for first, last, size, at, count in ((top, bottom, h, i, target[0]), (left, right, w, j, target[1])):
            unit = spatial_scale * (size - 1 if normalized_coordinates else 1)
            positions.append(first * unit + _position(sampling_mode, at, last * unit - first * unit + 1, count))
        row, column = positions
        if not (0 <= row <= h - 1 and 0 <= column <= w - 1):
            return pad_value
        return _blend(lambda r: _blend(lambda k: float(x[image, c, r, k]), w, column), h, row)

    if boxes is not None:
        images = range(len(rows)) if box_indices is None else [int(i) for i in box_indices]
        return built(
            (len(rows), channels, *target),
            np.float64,
            lambda at: pixel(images[at[0]], at[1], rows[at[0]], at[2], at[3]),
        )
    indexed = roi.shape[2] == 5
    return built(
        (len(rows), 1 if indexed else batch, channels, *target),
        np.float64,
        lambda at: pixel(
            int(rows[at[0]][0]) if indexed else at[1], at[2], rows[at[0]][1:] if indexed else rows[at[0]], at[3], at[4]
        ),
    )


declare("crop_resize", calls(_crop_calls), _crop_resize, **_BOUND)

# --- resample, affine

_COORDINATES = ("normalized_minus_one_to_one", "normalized_zero_to_one", "unnormalized")


def _sampling(draw: Draw) -> dict[str, Any]:
    return {
        "sampling_mode": pick(draw, "nearest", "bilinear"),
        "padding_mode": pick(draw, "constant", "border", "reflection", "symmetric"),
        "padding_value": pick(draw, 0.0, 2.5),
        "coordinates_mode": draw(st.sampled_from(_COORDINATES)),
        "align_corners": draw(st.booleans()),
    }


def _resample_calls(draw: Draw, rng: np.random.Generator) -> Call:
    dtype = draw(st.sampled_from(FLOATS))
    n, c = pick(draw, 1, 2, 2, 1, 0), draw(st.integers(1, 2))
    h, w = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    given = _sampling(draw)
    reach = 5 if given["coordinates_mode"] == "unnormalized" else 1.5
    grid = (n, draw(st.integers(1, 3)), draw(st.integers(1, 3)), 2)
    coordinates = values(rng, grid, FP32, -reach, reach, grid=pick(draw, 2, 16))
    return Call(
        {"x": values(rng, (n, c, h, w), dtype, -8, 8), "coordinates": coordinates} | given, mode=draw(modes(dtype))
    )


def _mirrored(position: float, size: int, padding: str) -> float:
    """Reflected at the borders until it is inside, or clamped."""
    if padding == "constant":
        return position
    if padding == "border" or size == 1:
        return min(max(position, 0.0), size - 1.0)
    low, high = (0.0, size - 1.0) if padding == "reflection" else (-0.5, size - 0.5)
    while not low <= position <= high:
        position = 2 * low - position if position < low else 2 * high - position
    return min(max(position, 0.0), size - 1.0)


def _pixels(coordinate: float, size: int, mode: str, align_corners: bool) -> float:
    if mode == "unnormalized":
        return coordinate
    unit = (coordinate + 1) / 2 if mode == "normalized_minus_one_to_one" else coordinate
    return unit * (size - 1) if align_corners else unit * size - 0.5


def _resample(
    x: Any,
    coordinates: Any,
    sampling_mode: str,
    padding_mode: str,
    padding_value: float,
    coordinates_mode: str,
    align_corners: bool,
) -> Any:
    n, c, h, w = x.shape

    def element(at: tuple[int, ...]) -> float:
        image, channel, i, j = at
        column, row = (float(v) for v in coordinates[image, i, j])
        row = _mirrored(_pixels(row, h, coordinates_mode, align_corners), h, padding_mode)
        column = _mirrored(_pixels(column, w, coordinates_mode, align_corners), w, padding_mode)

        def pixel(r: int, k: int) -> float:
            return float(x[image, channel, r, k]) if 0 <= r < h and 0 <= k < w else padding_value

        if sampling_mode == "nearest":
            return pixel(round(row), round(column))
        total = 0.0
        for r in (math.floor(row), math.floor(row) + 1):
            for k in (math.floor(column), math.floor(column) + 1):
                weight = (1 - abs(row - r)) * (1 - abs(column - k))
                total += pixel(r, k) * weight if weight > 0 else 0.0
        return total

    return built((n, c, *coordinates.shape[1:3]), np.float64, element)


declare("resample", calls(_resample_calls), _resample, **_BOUND)


def _affine_calls(draw: Draw, rng: np.random.Generator) -> Call:
    dtype = draw(st.sampled_from(FLOATS))
    n, c = pick(draw, 1, 2, 2, 1, 0), draw(st.integers(1, 2))
    h, w = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    matrix = values(rng, (pick(draw, 1, max(n, 1)), 6), FP32, -1.5, 1.5, grid=4)
    given = _sampling(draw) | {"sampling_mode": "bilinear"}
    given |= {"output_height": draw(st.integers(1, 4)), "output_width": draw(st.integers(1, 4))}
    return Call(
        {"x": values(rng, (n, c, h, w), dtype, -8, 8), "transform_matrix": matrix} | given, mode=draw(modes(dtype))
    )


def _affine(x: Any, transform_matrix: Any, output_height: int, output_width: int, **given: Any) -> Any:
    mode, aligned = given["coordinates_mode"], given["align_corners"]

    def coordinate(i: int, count: int) -> float:
        if mode == "unnormalized":
            return float(i)
        unit = (i / (count - 1) if count > 1 else 0.0) if aligned else (2 * i + 1) / (2 * count)
        return unit if mode == "normalized_zero_to_one" else 2 * unit - 1

    def element(at: tuple[int, ...]) -> float:
        a = [float(v) for v in transform_matrix[at[0] % len(transform_matrix)]]
        column, row = coordinate(at[2], output_width), coordinate(at[1], output_height)
        return a[3 * at[3]] * column + a[3 * at[3] + 1] * row + a[3 * at[3] + 2]

    return _resample(x, built((x.shape[0], output_height, output_width, 2), np.float64, element), **given)


declare("affine", calls(_affine_calls), _affine, **_BOUND)
