"""Properties of `tensor_transformation`: where each element of the result comes from, and its bits unchanged."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st
from kernel_properties.draw import ANY, INT32, Draw, axes_of, axis_of, built, calls, pick, shapes, some, values
from kernel_properties.table import Call, declare


def tensor(draw: Draw, rng: np.random.Generator, shape: tuple[int, ...], dtype: Any = None) -> Any:
    dtype = draw(st.sampled_from(ANY)) if dtype is None else dtype
    return values(rng, shape, dtype, 0 if dtype.kind == "u" else -99, 99, special=draw(st.booleans()))


Make = Callable[[Draw, tuple[int, ...]], dict[str, Any]]


def moved(make: Make, low: int = 0, high: int = 4, least: int = 0, most: int = 4) -> st.SearchStrategy[Call]:
    """`x` of a drawn shape and what `make` adds for it; raw kernels do the same in every mode."""

    def build(draw: Draw, rng: np.random.Generator) -> Call:
        shape = draw(shapes(low, high, least, most))
        return Call({"x": tensor(draw, rng, shape)} | make(draw, shape), mode=pick(draw, "wide", "exact", "strict"))

    return calls(build)


def flat(x: Any) -> list[Any]:
    """Elements in row-major order."""
    return [x[at] for at in np.ndindex(*x.shape)]


def refilled(x: Any, shape: Any) -> Any:
    items = iter(flat(x))
    return built(tuple(shape), x.dtype, lambda at: next(items))


declare("identity", moved(lambda draw, shape: {}), lambda x: x)


def _expand(x: Any, axes: tuple[int, ...]) -> Any:
    rank = x.ndim + len(axes)
    new = {a % rank for a in axes}
    sizes = iter(x.shape)
    return refilled(x, [1 if i in new else next(sizes) for i in range(rank)])


def _expand_axes(draw: Draw, shape: tuple[int, ...]) -> dict[str, Any]:
    count = draw(st.integers(1, 2))
    rank = len(shape) + count
    axes = draw(st.permutations(range(rank)))[:count]
    return {"axes": tuple(a if draw(st.booleans()) else a - rank for a in axes)}


declare("expand_dims", moved(_expand_axes, 0, 3), _expand)


def _squeeze_axes(draw: Draw, shape: tuple[int, ...]) -> dict[str, Any]:
    ones = [i if draw(st.booleans()) else i - len(shape) for i, s in enumerate(shape) if s == 1]
    chosen = tuple(a for a in ones if draw(st.booleans()))
    return {"axes": chosen} if chosen and draw(st.booleans()) else {}


def _squeeze(x: Any, axes: tuple[int, ...] | None = None) -> Any:
    gone = range(x.ndim) if axes is None else [a % x.ndim for a in axes]
    return refilled(x, [s for i, s in enumerate(x.shape) if not (i in gone and s == 1)])


declare("squeeze", moved(_squeeze_axes, 0, 4, 1, 2), _squeeze)


def _reshape_calls(draw: Draw, rng: np.random.Generator) -> Call:
    shape = draw(shapes(pick(draw, 0, 2, 3), 4, 0, 4))
    opset = pick(draw, 5, 6, 7, 8)
    parts = _sizes_of_nothing(draw, shape, opset) if 0 in shape else _sizes(draw, shape, opset)
    if parts and draw(st.booleans()):
        parts[draw(st.integers(0, len(parts) - 1))] = -1
    target = tuple(parts) if parts else np.zeros(0, np.int32)
    return Call({"x": tensor(draw, rng, shape), "shape": target}, opset, pick(draw, "wide", "exact", "strict"))


def _sizes(draw: Draw, shape: tuple[int, ...], opset: int) -> list[int]:
    """As many elements as `shape` has; 0 in place of some that it stands for."""
    parts: list[int] = list(draw(st.permutations(shape)) if draw(st.booleans()) else shape)
    while len(parts) > 1 and draw(st.booleans()):
        parts[:2] = [parts[0] * parts[1]]
    for _ in range(pick(draw, 0, 1, 2)):
        parts.insert(draw(st.integers(0, len(parts))), 1)
    kept = [_kept(shape, len(parts), i, opset) for i in range(len(parts))]
    return [0 if k == s and draw(st.booleans()) else s for k, s in zip(kept, parts, strict=True)]


def _sizes_of_nothing(draw: Draw, shape: tuple[int, ...], opset: int) -> list[int]:
    """0 for each dimension that is empty; what the others are does not matter, nor what is before them."""
    before = draw(st.lists(st.integers(0, 3), max_size=2)) if opset >= 7 else []
    return before + [0 if s == 0 else draw(st.integers(0, 3)) for s in shape]


def _kept(shape: Any, rank: int, i: int, opset: int) -> int | None:
    """The size that a 0 at place i of `rank` stands for; None where it may not be."""
    if opset < 7 and rank != len(shape):
        return None
    from_the_right = rank - i
    return shape[-from_the_right] if from_the_right <= len(shape) else 1


def _reshape(x: Any, shape: Any) -> Any:
    sizes = [_kept(x.shape, len(shape), i, 8) if s == 0 else int(s) for i, s in enumerate(shape)]
    others = math.prod(s for s in sizes if s != -1)
    return refilled(x, [(x.size // others if others else 0) if s == -1 else s for s in sizes])


def _reshape_kinds(x: Any, shape: Any, opset: int) -> set[str]:
    known = [_kept(x.shape, len(shape), i, opset) if s == 0 else int(s) for i, s in enumerate(shape) if s != -1]
    return {"undocumented"} if len(known) < len(shape) and 0 in known else set()


declare("reshape", calls(_reshape_calls), _reshape, kinds=_reshape_kinds)


def _reshape_like_calls(draw: Draw, rng: np.random.Generator) -> Call:
    shape = draw(shapes(2, 4, 1, 4))
    cut = draw(st.integers(1, len(shape) - 1))
    mask = draw(st.booleans())
    # The sizes of the result are shape[:cut] of one tensor and shape[cut:] of another.
    first = tensor(draw, rng, (3, *shape[:cut]), INT32)
    second = tensor(draw, rng, (*shape[cut:], *(() if mask else (2,))), INT32)
    x = tensor(draw, rng, shape[::-1])
    last = 0 if mask else second.ndim - 1
    return Call(
        {
            "x": x,
            "ref_tensors": (first, second),
            "begins": (np.array(1, np.int32), np.array(0, np.int32)),
            "ends": (np.array(first.ndim, np.int32), np.array(last, np.int32)),
            "end_masks": (np.array(False), np.array(mask)),
        },
        constant=frozenset(("begins", "ends", "end_masks")),
    )


def _reshape_like(x: Any, ref_tensors: Any, begins: Any, ends: Any, end_masks: Any) -> Any:
    sizes: list[int] = []
    for tensor_, begin, end, mask in zip(ref_tensors, begins, ends, end_masks, strict=True):
        sizes += [s for i, s in enumerate(tensor_.shape) if i >= begin and (mask or i < end)]
    return refilled(x, sizes)


declare("reshape_like", calls(_reshape_like_calls), _reshape_like)


def _transpose(x: Any, perm: tuple[int, ...]) -> Any:
    def element(at: tuple[int, ...]) -> Any:
        source = [0] * x.ndim
        for i, p in enumerate(perm):
            source[p] = at[i]
        return x[tuple(source)]

    return built(tuple(x.shape[p] for p in perm), x.dtype, element)


declare(
    "transpose",
    moved(
        lambda draw, shape: {
            "perm": tuple(
                p if draw(st.booleans()) else p - len(shape) for p in draw(st.permutations(range(len(shape))))
            )
        },
        1,
        5,
    ),
    _transpose,
)
declare(
    "flatten2d",
    moved(lambda draw, shape: some(draw, axis=list(range(-len(shape), len(shape)))), 1),
    lambda x, axis=1: refilled(x, (math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))),
)


def _reverse(x: Any, axes: tuple[int, ...] | None = None) -> Any:
    turned = range(x.ndim) if axes is None else [a % x.ndim for a in axes]
    return built(
        x.shape, x.dtype, lambda at: x[tuple(x.shape[i] - 1 - p if i in turned else p for i, p in enumerate(at))]
    )


def _reverse_axes(draw: Draw, shape: tuple[int, ...]) -> dict[str, Any]:
    axes = draw(axes_of(len(shape), 1)) if shape and draw(st.booleans()) else None
    return {} if axes is None else {"axes": axes}


declare("reverse", moved(_reverse_axes), _reverse)


def _sequence_lengths(draw: Draw, shape: tuple[int, ...]) -> dict[str, Any]:
    seq, batch = draw(st.permutations(range(len(shape))))[:2]
    lengths = tuple(draw(st.integers(0, shape[seq])) for _ in range(shape[batch]))
    return {"lengths": lengths, "seq_axis": seq, "batch_axis": batch}


def _reverse_sequence(x: Any, lengths: tuple[int, ...], seq_axis: int, batch_axis: int) -> Any:
    def element(at: tuple[int, ...]) -> Any:
        place = list(at)
        length = lengths[at[batch_axis]]
        if at[seq_axis] < length:
            place[seq_axis] = length - 1 - at[seq_axis]
        return x[tuple(place)]

    return built(x.shape, x.dtype, element)


declare("reverse_sequence", moved(_sequence_lengths, 2, 4, 1), _reverse_sequence)


# --- slices


def _slice(draw: Draw, shape: tuple[int, ...]) -> dict[str, Any]:
    begin = tuple(draw(st.integers(-s, s - 1)) for s in shape)
    end = tuple(draw(st.integers(-s - 2, s + 2)) for s in shape)
    arguments: dict[str, Any] = {"begin": begin, "end": end}
    if draw(st.booleans()):
        arguments["stride"] = tuple(pick(draw, 1, 2, -1, -2) for _ in shape)
    for mask in ("begin_mask", "end_mask", "squeeze_mask"):
        if draw(st.booleans()):
            arguments[mask] = np.array([draw(st.booleans()) for _ in shape])
    return arguments


def _walk(size: int, begin: int, end: int, stride: int, from_start: bool, to_end: bool) -> list[int]:
    """Positions of one dimension, one step after the other."""
    at = (0 if stride > 0 else size - 1) if from_start else begin + size if begin < 0 else begin
    stop = end + size if end < 0 else end
    found = []
    while 0 <= at < size and (to_end or (at < stop if stride > 0 else at > stop)):
        found.append(at)
        at += stride
    return found


def _picked(shape: tuple[int, ...], begin: Any, end: Any, **given: Any) -> tuple[list[list[int]], list[bool]]:
    rank = len(shape)
    stride = given.get("stride") or (1,) * rank
    masks = [given.get(m) for m in ("begin_mask", "end_mask", "squeeze_mask")]
    first, last, single = ([False] * rank if m is None else [bool(v) for v in m] for m in masks)
    places = []
    for i, size in enumerate(shape):
        if single[i]:
            places.append([0 if first[i] else begin[i] % size])
        else:
            places.append(_walk(size, begin[i], end[i], stride[i], first[i], last[i]))
    return places, single


def _slice_by_index(x: Any, begin: Any, end: Any, **given: Any) -> Any:
    places, single = _picked(x.shape, begin, end, **given)
    whole = built(tuple(map(len, places)), x.dtype, lambda at: x[tuple(p[i] for p, i in zip(places, at, strict=True))])
    return refilled(whole, [s for s, gone in zip(whole.shape, single, strict=True) if not gone])


declare("slice_by_index", moved(_slice, 1, 4, 1), _slice_by_index)


def _update_calls(draw: Draw, rng: np.random.Generator) -> Call:
    shape = draw(shapes(1, 3, 1, 4))
    given = _slice(draw, shape)
    x = tensor(draw, rng, shape)
    sliced = _slice_by_index(x, **given)
    return Call({"x": x, "update": tensor(draw, rng, sliced.shape, x.dtype)} | given, mode=pick(draw, "wide", "exact"))


def _slice_update(x: Any, update: Any, **given: Any) -> Any:
    places, _ = _picked(x.shape, **given)
    result, items = x.copy(), iter(flat(update))
    for at in np.ndindex(*map(len, places)):
        result[tuple(p[i] for p, i in zip(places, at, strict=True))] = next(items)
    return result


declare("slice_update", calls(_update_calls), _slice_update)


def _sized(draw: Draw, shape: tuple[int, ...]) -> dict[str, Any]:
    begin, size = [], []
    for s in shape:
        first = draw(st.integers(0, s - 1))
        begin.append(first if draw(st.booleans()) else first - s)
        size.append(pick(draw, -1, *range(1, s - first + 1)))
    return {"begin": tuple(begin), "size": tuple(size)}


def _slice_by_size(x: Any, begin: tuple[int, ...], size: tuple[int, ...]) -> Any:
    first = [b % s for b, s in zip(begin, x.shape, strict=True)]
    shape = tuple(s - f if c == -1 else c for s, f, c in zip(x.shape, first, size, strict=True))
    return built(shape, x.dtype, lambda at: x[tuple(f + i for f, i in zip(first, at, strict=True))])


declare("slice_by_size", moved(_sized, 1, 4, 1), _slice_by_size)


def _window(draw: Draw, shape: tuple[int, ...]) -> dict[str, Any]:
    axis = draw(axis_of(len(shape)))
    return {"axis": axis, "size": draw(st.integers(1, max(1, shape[axis] - pick(draw, 0, 1, 2))))} | some(
        draw, stride=[1, 2, 3]
    )


def _sliding(x: Any, axis: int, size: int, stride: int = 1) -> Any:
    axis %= x.ndim
    starts = [s for s in range(0, x.shape[axis], stride) if s + size <= x.shape[axis]]
    shape = (*x.shape[:axis], len(starts), size, *x.shape[axis + 1 :])
    return built(shape, x.dtype, lambda at: x[(*at[:axis], starts[at[axis]] + at[axis + 1], *at[axis + 2 :])])


declare("sliding_windows", moved(_window, 1, 3, 1, 6), _sliding)


# --- space, depth and batch


def _images(slow: bool, widen: bool) -> Callable[..., Any]:
    """The four operators between channels and space: pixel (h f + i, w f + j) of channel c and channel (i, j, c), the
    block position the slow part of the channel (`slow`) or the fast one."""

    def statement(x: Any, **given: int) -> Any:
        (f,) = given.values()
        n, c, h, w = x.shape

        def channel(small: int, i: int, j: int, count: int) -> int:
            return (i * f + j) * count + small if slow else small * f * f + i * f + j

        if widen:
            count = c // (f * f)
            return built(
                (n, count, h * f, w * f),
                x.dtype,
                lambda at: x[at[0], channel(at[1], at[2] % f, at[3] % f, count), at[2] // f, at[3] // f],
            )
        result = np.empty((n, c * f * f, h // f, w // f), x.dtype)
        for at in np.ndindex(n, c, h, w):
            result[at[0], channel(at[1], at[2] % f, at[3] % f, c), at[2] // f, at[3] // f] = x[at]
        return result

    return statement


def _image_calls(parameter: str, widen: bool) -> st.SearchStrategy[Call]:
    def make(draw: Draw, rng: np.random.Generator) -> Call:
        f = draw(st.integers(1, 3))
        n, c, h, w = (draw(st.integers(1, 3)) for _ in range(4))
        shape = (n, c * f * f, h, w) if widen else (n, c, h * f, w * f)
        return Call({"x": tensor(draw, rng, shape), parameter: f})

    return calls(make)


for _name, _parameter, _slow, _widen in (
    ("depth_to_space", "block_size", True, True),
    ("space_to_depth", "block_size", True, False),
    ("pixel_shuffle", "upscale_factor", False, True),
    ("pixel_unshuffle", "downscale_factor", False, False),
):
    declare(_name, _image_calls(_parameter, _widen), _images(_slow, _widen))


def _space_to_batch_calls(draw: Draw, rng: np.random.Generator) -> Call:
    b = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    pads = np.array([[draw(st.integers(0, 2)) for _ in range(2)] for _ in range(2)], np.int32)
    sizes = []
    for block, (before, after) in zip(b, pads.tolist(), strict=True):
        total = block * draw(st.integers(1, 3))
        while total - before - after < 1:
            total += block
        sizes.append(total - before - after)
    x = tensor(draw, rng, (draw(st.integers(1, 2)), draw(st.integers(1, 2)), *sizes))
    return Call({"x": x, "block_shape": b, "paddings": pads})


def _space_to_batch(x: Any, block_shape: tuple[int, int], paddings: Any) -> Any:
    (top, bottom), (left, right) = paddings.tolist()
    n, c, h, w = x.shape
    b0, b1 = block_shape
    shape = (n * b0 * b1, c, (h + top + bottom) // b0, (w + left + right) // b1)

    def element(at: tuple[int, ...]) -> Any:
        block, image = divmod(at[0], n)
        row, column = at[2] * b0 + block // b1 - top, at[3] * b1 + block % b1 - left
        return x[image, at[1], row, column] if 0 <= row < h and 0 <= column < w else 0

    return built(shape, x.dtype, element)


declare("space_to_batch", calls(_space_to_batch_calls), _space_to_batch)


def _batch_to_space_calls(draw: Draw, rng: np.random.Generator) -> Call:
    b = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    n, c, h, w = (draw(st.integers(1, 3)) for _ in range(4))
    crops = []
    for size in (h * b[0], w * b[1]):
        before = draw(st.integers(0, min(2, size - 1)))
        crops.append([before, draw(st.integers(0, min(2, size - 1 - before)))])
    x = tensor(draw, rng, (n * b[0] * b[1], c, h, w))
    return Call({"x": x, "block_shape": b, "crops": np.array(crops, np.int32)})


def _batch_to_space(x: Any, block_shape: tuple[int, int], crops: Any) -> Any:
    (top, bottom), (left, right) = crops.tolist()
    b0, b1 = block_shape
    n = x.shape[0] // (b0 * b1)
    shape = (n, x.shape[1], x.shape[2] * b0 - top - bottom, x.shape[3] * b1 - left - right)

    def element(at: tuple[int, ...]) -> Any:
        row, column = at[2] + top, at[3] + left
        return x[(row % b0 * b1 + column % b1) * n + at[0], at[1], row // b0, column // b1]

    return built(shape, x.dtype, element)


declare("batch_to_space", calls(_batch_to_space_calls), _batch_to_space)
