"""Properties of `constexpr_*`, `quantize`, `dequantize` and of `non_maximum_suppression`."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
from hypothesis import strategies as st
from kernel_properties.draw import FLOATS, FP16, FP32, Draw, axis_of, built, calls, modes, pick, shapes, values
from kernel_properties.table import Call, declare

_INTEGERS = {"int8": (-128, 127), "uint8": (0, 255), "int4": (-8, 7), "uint4": (0, 15)}
_STORAGE = {"int8": np.int8, "uint8": np.uint8, "int4": np.int8, "uint4": np.uint8}


def _scales(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any) -> Any:
    """Powers of two: products with small integers are exact."""
    return np.asarray(2.0 ** rng.integers(-3, 2, shape)).astype(dtype)


def _integers(rng: np.random.Generator, shape: tuple[int, ...], name: str) -> Any:
    low, high = _INTEGERS[name]
    return rng.integers(low, high + 1, shape).astype(_STORAGE[name])


def _affine_parameters(draw: Draw, rng: np.random.Generator, shape: tuple[int, ...], name: str) -> dict[str, Any]:
    axis = draw(axis_of(len(shape)))
    vector = draw(st.booleans())
    size = (shape[axis],) if vector else ()
    given: dict[str, Any] = {"scale": _scales(rng, size, draw(st.sampled_from(FLOATS)))}
    if draw(st.booleans()):
        low, high = _INTEGERS[name]
        given["zero_point"] = rng.integers(max(low, -20), min(high, 20) + 1, size).astype(_STORAGE[name])
    if vector or draw(st.booleans()):
        given["axis"] = axis
    return given


def _of(parameter: Any, at: tuple[int, ...], axis: int | None) -> float:
    if parameter is None:
        return 0.0
    return float(parameter) if parameter.ndim == 0 else float(parameter[at[axis]])  # type: ignore[index]


def _quantize_calls(draw: Draw, rng: np.random.Generator) -> Call:
    name = draw(st.sampled_from(sorted(_INTEGERS)))
    shape = draw(shapes(1, 3, 1, 4))
    given = _affine_parameters(draw, rng, shape, name)
    x = values(rng, shape, given["scale"].dtype, -40, 40, grid=16)
    if draw(st.booleans()):
        x[..., :1] = draw(st.sampled_from((np.inf, -np.inf, np.nan)))
    return Call({"input": x, "output_dtype": name} | given, mode=draw(modes(FP32)))


def _quantize(input: Any, scale: Any, output_dtype: str, zero_point: Any = None, axis: int | None = None) -> Any:
    low, high = _INTEGERS[output_dtype]

    def element(at: tuple[int, ...]) -> int:
        v = float(input[at])
        if math.isinf(v):
            return high if v > 0 else low
        v = 0.0 if math.isnan(v) else v
        return min(max(round(Fraction(v) / Fraction(_of(scale, at, axis))) + int(_of(zero_point, at, axis)), low), high)

    return built(input.shape, _STORAGE[output_dtype], element)


declare(
    "quantize",
    calls(_quantize_calls),
    _quantize,
    like=None,
    kinds=lambda input, **more: {"nan_to_integer"} if np.isnan(input).any() else set(),
)


def _dequantize_calls(draw: Draw, rng: np.random.Generator) -> Call:
    name = draw(st.sampled_from(sorted(_INTEGERS)))
    shape = draw(shapes(1, 3, 1, 4))
    given = _affine_parameters(draw, rng, shape, name)
    return Call(
        {"input": _integers(rng, shape, name)} | given,
        mode=draw(modes(FP32)),
        narrow={"input": name, "zero_point": name},
    )


def _dequantize(input: Any, scale: Any, zero_point: Any = None, axis: int | None = None) -> Any:
    return built(
        input.shape, np.float64, lambda at: _of(scale, at, axis) * (float(input[at]) - _of(zero_point, at, axis))
    )


declare("dequantize", calls(_dequantize_calls), _dequantize, like="scale", ulps=1, slack=0)

# --- constexpr: every argument is a constant


def _constants(arguments: dict[str, Any], mode: str = "wide", **narrow: str) -> Call:
    return Call(arguments, mode=mode, constant=frozenset(arguments), narrow=narrow)


def _affine_calls(draw: Draw, rng: np.random.Generator) -> Call:
    name = pick(draw, "int8", "uint8")
    shape = draw(shapes(1, 3, 1, 4))
    axis = draw(axis_of(len(shape)))
    size = (shape[axis],)
    arguments = {
        "quantized_data": _integers(rng, shape, name),
        "zero_point": _integers(rng, pick(draw, (), size), name),
        "scale": _scales(rng, pick(draw, (), size), draw(st.sampled_from(FLOATS))),
        "axis": axis,
    }
    return _constants(arguments, pick(draw, "wide", "exact"))


declare(
    "constexpr_affine_dequantize",
    calls(_affine_calls),
    lambda quantized_data, zero_point, scale, axis: _dequantize(quantized_data, scale, zero_point, axis),
    like="scale",
    ulps=1,
    slack=0,
)


def _constexpr_cast_calls(draw: Draw, rng: np.random.Generator) -> Call:
    x = values(rng, draw(shapes(0, 3, 0, 4)), FP16, special=True)
    return _constants({"source_val": x, "output_dtype": "fp32"})


declare(
    "constexpr_cast",
    calls(_constexpr_cast_calls),
    lambda source_val, output_dtype: built(source_val.shape, FP32, lambda at: source_val[at].item()),
    like=None,
)


def _blocks(draw: Draw, rng: np.random.Generator) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Shape of the data, and how many blocks each dimension has."""
    counts = draw(shapes(1, 3, 1, 3))
    return tuple(c * draw(st.integers(1, 3)) for c in counts), counts


def _block_of(at: tuple[int, ...], shape: tuple[int, ...], counts: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(i // (s // c) for i, s, c in zip(at, shape, counts, strict=False))


def _blockwise_calls(draw: Draw, rng: np.random.Generator) -> Call:
    name = draw(st.sampled_from(sorted(_INTEGERS)))
    shape, counts = _blocks(draw, rng)
    arguments = {
        "data": _integers(rng, shape, name),
        "scale": _scales(rng, counts, draw(st.sampled_from(FLOATS))),
    }
    if draw(st.booleans()):
        arguments["offset"] = _integers(rng, counts, name)
    return _constants(arguments, pick(draw, "wide", "exact"), data=name, offset=name)


def _blockwise(data: Any, scale: Any, offset: Any = None) -> Any:
    def element(at: tuple[int, ...]) -> float:
        block = _block_of(at, data.shape, scale.shape)
        return float(scale[block]) * (float(data[at]) - (0.0 if offset is None else float(offset[block])))

    return built(data.shape, np.float64, element)


declare("constexpr_blockwise_shift_scale", calls(_blockwise_calls), _blockwise, like="scale", ulps=1, slack=0)


def _packed(numbers: list[int], bits: int) -> Any:
    """Numbers one after the other, the least significant bit first."""
    stream = sum(n << (i * bits) for i, n in enumerate(numbers))
    return np.frombuffer(stream.to_bytes((len(numbers) * bits + 7) // 8, "little"), np.uint8).copy()


def _unpacked(data: Any, bits: int, count: int) -> list[int]:
    stream = int.from_bytes(data.tobytes(), "little")
    return [stream >> (i * bits) & (2**bits - 1) for i in range(count)]


def _table(draw: Draw, rng: np.random.Generator, packed: bool, bits: int) -> dict[str, Any]:
    dtype = draw(st.sampled_from(FLOATS))
    if packed:
        shape = draw(shapes(1, 3, 1, 4))
        numbers = rng.integers(0, 2**bits, math.prod(shape)).tolist()
        return {"indices": _packed(numbers, bits), "lut": values(rng, (2**bits,), dtype), "shape": shape}
    shape, counts = _blocks(draw, rng)
    width = pick(draw, 1, 1, 2, 3)
    arguments = {
        "indices": rng.integers(0, 2**bits, shape).astype(np.uint8),
        "lut": values(rng, (*counts, 2**bits, width), dtype),
    }
    if width > 1:
        arguments["vector_axis"] = draw(st.integers(0, len(shape) - 1))
    return arguments


def _lut_calls(draw: Draw, rng: np.random.Generator) -> Call:
    bits = pick(draw, 1, 2, 3, 4, 6, 8)
    arguments = _table(draw, rng, draw(st.booleans()), bits)
    narrow = {} if "shape" in arguments else {"indices": f"uint{bits}"}
    return _constants(arguments, pick(draw, "wide", "exact"), **narrow)


def _dense(indices: Any, lut: Any, shape: Any = None, vector_axis: int | None = None) -> Any:
    if shape is not None:
        numbers = iter(_unpacked(indices, lut.size.bit_length() - 1, math.prod(shape)))
        return built(tuple(shape), lut.dtype, lambda at: lut[next(numbers)])
    width, counts = lut.shape[-1], lut.shape[:-2]
    axis = 0 if vector_axis is None else vector_axis
    full = [s * width if i == axis else s for i, s in enumerate(indices.shape)]

    def element(at: tuple[int, ...]) -> Any:
        place = tuple(p // width if i == axis else p for i, p in enumerate(at))
        return lut[(*_block_of(place, indices.shape, counts), int(indices[place]), at[axis] % width)]

    return built(tuple(full), lut.dtype, element)


declare("constexpr_lut_to_dense", calls(_lut_calls), _dense, like="lut")


def _mask(draw: Draw, rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    return (rng.random(shape) < pick(draw, 0.3, 0.7)).astype(np.uint8)


def _sparse_calls(draw: Draw, rng: np.random.Generator) -> Call:
    shape = draw(shapes(1, 3, 1, 4))
    mask = _mask(draw, rng, shape)
    data = values(rng, (int(mask.sum()),), draw(st.sampled_from(FLOATS)), special=True)
    if draw(st.booleans()):
        return _constants({"nonzero_data": data, "mask": mask}, mask="uint1")
    return _constants({"nonzero_data": data, "mask": _packed(mask.reshape(-1).tolist(), 1), "shape": shape})


def _sparse(nonzero_data: Any, mask: Any, shape: Any = None) -> Any:
    bits = mask.reshape(-1).tolist() if shape is None else _unpacked(mask, 1, math.prod(shape))
    numbers, places = iter(nonzero_data), iter(bits)
    return built(
        mask.shape if shape is None else tuple(shape),
        nonzero_data.dtype,
        lambda at: next(numbers) if next(places) else 0,
    )


declare("constexpr_sparse_to_dense", calls(_sparse_calls), _sparse, like="nonzero_data")


def _lut_sparse_calls(draw: Draw, rng: np.random.Generator) -> Call:
    bits = pick(draw, 1, 2, 4)
    arguments = _table(draw, rng, False, bits)
    mask = _mask(draw, rng, arguments["indices"].shape)
    sparse = {
        "indices_mask": mask,
        "indices_nonzero_data": arguments["indices"][mask != 0],
        "lut": arguments["lut"],
    }
    if "vector_axis" in arguments:
        sparse["vector_axis"] = arguments["vector_axis"]
    return _constants(sparse, indices_mask="uint1", indices_nonzero_data=f"uint{bits}")


def _lut_sparse(indices_mask: Any, indices_nonzero_data: Any, lut: Any, vector_axis: int | None = None) -> list[Any]:
    dense = _dense(_sparse(indices_nonzero_data, indices_mask), lut, None, vector_axis)
    axis, width = vector_axis or 0, lut.shape[-1]
    wide = built(
        dense.shape,
        np.uint8,
        lambda at: indices_mask[tuple(p // width if i == axis else p for i, p in enumerate(at))],
    )
    return [wide, np.array([dense[at] for at in np.ndindex(*dense.shape) if wide[at]], lut.dtype)]


declare("constexpr_lut_to_sparse", calls(_lut_sparse_calls), _lut_sparse, like=None)


def _blockwise_sparse_calls(draw: Draw, rng: np.random.Generator) -> Call:
    call = draw(calls(_blockwise_calls))
    data = call.arguments["data"]
    mask = _mask(draw, rng, data.shape)
    rest = {k: v for k, v in call.arguments.items() if k != "data"}
    return _constants({"data_mask": mask, "nonzero_data": data[mask != 0]} | rest, data_mask="uint1")


def _blockwise_sparse(data_mask: Any, nonzero_data: Any, scale: Any, offset: Any = None) -> list[Any]:
    dense = _blockwise(_sparse(nonzero_data, data_mask), scale, offset)
    marked = [dense[at] for at in np.ndindex(*dense.shape) if data_mask[at]]
    return [data_mask, np.array(marked).astype(scale.dtype)]


declare("constexpr_sparse_blockwise_shift_scale", calls(_blockwise_sparse_calls), _blockwise_sparse, like=None)

# --- non-maximum suppression


def _suppression_calls(draw: Draw, rng: np.random.Generator) -> Call:
    dtype = draw(st.sampled_from(FLOATS))
    n, boxes, classes = draw(st.integers(1, 2)), draw(st.integers(1, 8)), draw(st.integers(1, 3))
    centres, sizes = (
        values(rng, (n, boxes, 2), dtype, 0, 1.5, grid=4),
        values(rng, (n, boxes, 2), dtype, 0.5, 2, grid=4),
    )
    places = np.concatenate([centres, sizes], -1)
    scores = (rng.permutation(n * boxes * classes).reshape(n, boxes, classes) / 32).astype(dtype)  # no ties
    given: dict[str, Any] = {"iou_threshold": pick(draw, 0.1, 0.3, 0.5), "max_boxes": draw(st.integers(2, 8))}
    given |= pick(draw, {}, *({"per_class_suppression": c} for c in (True, True, False)))
    opset = pick(draw, 5, 6, 7, 8)
    if opset >= 7:
        places, scores = places.swapaxes(1, 2).copy(), scores.swapaxes(1, 2).copy()
    else:
        given["score_threshold"] = pick(draw, 0.0, 0.25)
    return Call({"boxes": places, "scores": scores} | given, opset=opset)


def _overlap(a: list[float], b: list[float]) -> float:
    sides = []
    for i in range(2):
        first = max(a[i] - a[i + 2] / 2, b[i] - b[i + 2] / 2)
        last = min(a[i] + a[i + 2] / 2, b[i] + b[i + 2] / 2)
        sides.append(max(last - first, 0.0))
    common = sides[0] * sides[1]
    return common / (a[2] * a[3] + b[2] * b[3] - common)


def _suppression(
    boxes: Any,
    scores: Any,
    iou_threshold: float,
    max_boxes: int,
    score_threshold: float | None = None,
    per_class_suppression: bool = False,
) -> list[Any]:
    """A box is kept when no box kept before it (of its class, when asked) overlaps it too much."""
    last = score_threshold is None  # iOS17
    if last:
        boxes, scores = np.moveaxis(boxes, 1, 2), np.moveaxis(scores, 1, 2)
    iou_threshold = float(np.float32(iou_threshold))
    n, _, classes = scores.shape
    chosen, marks = np.zeros((n, max_boxes, 4), boxes.dtype), np.zeros((n, max_boxes, classes), scores.dtype)
    indices, counts = np.full((n, max_boxes), -1, np.int32), np.zeros(n, np.int32)
    for image in range(n):
        rows = [(float(max(s)), list(s).index(max(s)), i) for i, s in enumerate(scores[image])]
        kept: list[tuple[int, int]] = []
        for score, label, i in sorted(rows, reverse=True):
            if score_threshold is not None and score < score_threshold:
                continue
            rivals = [k for k, other in kept if other == label or not per_class_suppression]
            overlaps = [_overlap(boxes[image, k].tolist(), boxes[image, i].tolist()) for k in rivals]
            if all(o <= iou_threshold for o in overlaps):
                kept.append((i, label))
        for place, (i, _) in enumerate(kept[:max_boxes]):
            chosen[image, place], marks[image, place], indices[image, place] = boxes[image, i], scores[image, i], i
            counts[image] += 1
    if last:
        return [np.moveaxis(chosen, 1, 2), np.moveaxis(marks, 1, 2), indices]
    return [chosen, marks, indices, counts]


declare("non_maximum_suppression", calls(_suppression_calls), _suppression, like=None)
