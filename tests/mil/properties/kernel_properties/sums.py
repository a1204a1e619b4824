"""Properties of `linear`, `conv` and `transformers`: direct sums over every index. Operands are small multiples of a
power of two, whose products and sums float32 holds exactly, so that the order of summation does not matter."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np
from hypothesis import strategies as st
from kernel_properties.draw import FLOATS, FP16, FP32, NUMBERS, Draw, built, calls, modes, pick, shapes, some, values
from kernel_properties.table import Call, declare


def _small(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any) -> Any:
    return values(rng, shape, dtype, -3, 3, grid=2)


def sum_modes(dtype: Any) -> st.SearchStrategy[str]:
    """Sums of a few small numbers are exact in fp16 too, rounded after each step as mode `strict` does."""
    return modes(dtype) if dtype != FP16 else st.sampled_from(("wide", "exact", "strict"))


def _linear_calls(draw: Draw, rng: np.random.Generator) -> Call:
    dtype = draw(st.sampled_from(NUMBERS))
    lead, k, n = draw(shapes(0, 3, 0, 3)), draw(st.integers(1, 4)), draw(st.integers(1, 4))
    # From iOS17 on the parameters may have another float type.
    other = draw(st.sampled_from(FLOATS)) if dtype.kind == "f" else dtype
    arguments = {"x": _small(rng, (*lead, k), dtype), "weight": _small(rng, (n, k), other)}
    if draw(st.booleans()):
        arguments["bias"] = _small(rng, (n,), other)
    return Call(arguments, mode=draw(sum_modes(dtype)), constant=frozenset(("weight", "bias")))


def _linear(x: Any, weight: Any, bias: Any = None) -> Any:
    def element(at: tuple[int, ...]) -> Any:
        total = sum(x[(*at[:-1], k)].item() * weight[at[-1], k].item() for k in range(x.shape[-1]))
        return total if bias is None else total + bias[at[-1]].item()

    return built(x.shape[:-1] + weight.shape[:1], np.float64, element)


declare("linear", calls(_linear_calls), _linear, ulps=1, slack=0)


def _matmul_calls(draw: Draw, rng: np.random.Generator) -> Call:
    dtype = draw(st.sampled_from(NUMBERS))
    m, k, n = (draw(st.integers(1, 4)) for _ in range(3))
    batch = draw(shapes(0, 2, 1, 3))

    def operand(rows: int, columns: int, transposed: bool) -> Any:
        lead = tuple(s if draw(st.booleans()) else 1 for s in batch)[draw(st.integers(0, len(batch))) :]
        return _small(rng, (*lead, *((columns, rows) if transposed else (rows, columns))), dtype)

    flags = {f"transpose_{p}": draw(st.booleans()) for p in "xy"}
    x, y = operand(m, k, flags["transpose_x"]), operand(k, n, flags["transpose_y"])
    vector = draw(st.integers(0, 4))
    if vector == 0:
        x = _small(rng, (k,), dtype)
    elif vector == 1:
        y = _small(rng, (k,), dtype)
    arguments = {"x": x, "y": y} | {f: v for f, v in flags.items() if v or draw(st.booleans())}
    return Call(arguments, mode=draw(sum_modes(dtype)))


def _matmul(x: Any, y: Any, transpose_x: bool = False, transpose_y: bool = False) -> Any:
    a = np.moveaxis(x, -1, -2) if transpose_x and x.ndim > 1 else x
    b = np.moveaxis(y, -1, -2) if transpose_y and y.ndim > 1 else y
    row, column = a.ndim == 1, b.ndim == 1
    a, b = a.reshape(1, -1) if row else a, b.reshape(-1, 1) if column else b
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a, b = np.broadcast_to(a, batch + a.shape[-2:]), np.broadcast_to(b, batch + b.shape[-2:])

    def element(at: tuple[int, ...]) -> Any:
        return sum(a[(*at[:-1], k)].item() * b[(*at[:-2], k, at[-1])].item() for k in range(a.shape[-1]))

    full = built((*batch, a.shape[-2], b.shape[-1]), np.float64, element)
    if row:
        full = full[..., 0, :]
    return full[..., 0] if column else full


declare("matmul", calls(_matmul_calls), _matmul, ulps=1, slack=0)


def _einsum_calls(draw: Draw, rng: np.random.Generator) -> Call:
    equation = pick(draw, "nchw,nwhu->nchu", "chw,whr->chr", "ab, bc -> ac", "abc,cd->abd", "ij,ij->ji", "a,b->ba")
    sizes = {letter: pick(draw, 1, 2, 3, 2, 3, 0) for letter in equation if letter.isalpha()}
    dtype = draw(st.sampled_from(FLOATS))
    terms = equation.replace(" ", "").split("->")[0].split(",")
    tensors = []
    for term in terms:
        shape = [sizes[letter] for letter in term]
        if draw(st.booleans()):
            shape[0] = 1  # broadcasts
        tensors.append(_small(rng, tuple(shape), dtype))
    return Call({"values": tuple(tensors), "equation": equation}, mode=draw(sum_modes(dtype)))


def _einsum(values: Any, equation: str) -> Any:
    left, output = equation.replace(" ", "").split("->")
    terms = left.split(",")
    sizes: dict[str, int] = {}
    for term, value in zip(terms, values, strict=True):
        for letter, size in zip(term, value.shape, strict=True):
            sizes[letter] = size if size != 1 else sizes.get(letter, 1)
    result = np.zeros([sizes[letter] for letter in output])
    for point in product(*(range(s) for s in sizes.values())):
        where = dict(zip(sizes, point, strict=True))
        term_value = 1.0
        for term, value in zip(terms, values, strict=True):
            at = tuple(where[letter] if size != 1 else 0 for letter, size in zip(term, value.shape, strict=True))
            term_value *= float(value[at])
        result[tuple(where[letter] for letter in output)] += term_value
    return result


declare("einsum", calls(_einsum_calls), _einsum, like="values", ulps=1, slack=0)

# --- convolutions


def _geometry(draw: Draw, rank: int) -> dict[str, Any]:
    """Optional strides, dilations and padding of a window."""
    given: dict[str, Any] = {}
    if draw(st.booleans()):
        given["strides"] = tuple(draw(st.integers(1, 3)) for _ in range(rank))
    if draw(st.booleans()):
        given["dilations"] = tuple(draw(st.integers(1, 2)) for _ in range(rank))
    kind = pick(draw, None, "valid", "same", "same_lower", "custom", "custom")
    if kind is not None:
        given["pad_type"] = kind
    if kind == "custom" and draw(st.integers(0, 3)):
        given["pad"] = tuple(draw(st.integers(0, 2)) for _ in range(2 * rank))
    return given


def before_of(size: int, k: int, stride: int, dilation: int, pad_type: str, pad: Any, i: int) -> tuple[int, int]:
    """(padding before, number of windows) of dimension i."""
    reach = (k - 1) * dilation + 1
    if pad_type == "custom" and pad is not None:
        return pad[2 * i], (size + pad[2 * i] + pad[2 * i + 1] - reach) // stride + 1
    if pad_type in ("valid", "custom"):
        return 0, (size - reach) // stride + 1
    count = math.ceil(size / stride)
    total = max((count - 1) * stride + reach - size, 0)
    return (total // 2 if pad_type == "same" else (total + 1) // 2), count


def _conv_calls(draw: Draw, rng: np.random.Generator) -> Call:
    dtype = draw(st.sampled_from(FLOATS))
    rank = draw(st.integers(1, 3))
    groups, per_in, per_out = (draw(st.integers(1, 2)) for _ in range(3))
    kernel_sizes = tuple(draw(st.integers(1, 3 if rank < 3 else 2)) for _ in range(rank))
    given = _geometry(draw, rank)
    if groups > 1:
        given["groups"] = groups
    dilations = given.get("dilations", (1,) * rank)
    sizes = tuple((k - 1) * d + draw(st.integers(1, 3)) for k, d in zip(kernel_sizes, dilations, strict=True))
    other = draw(st.sampled_from(FLOATS))
    arguments = {
        "x": _small(rng, (pick(draw, 1, 2, 2, 1, 0), groups * per_in, *sizes), dtype),
        "weight": _small(rng, (groups * per_out, per_in, *kernel_sizes), other),
    }
    if draw(st.booleans()):
        arguments["bias"] = _small(rng, (groups * per_out,), other)
    return Call(arguments | given, mode=draw(sum_modes(dtype)))


def _conv(
    x: Any,
    weight: Any,
    bias: Any = None,
    strides: Any = None,
    pad_type: str = "valid",
    pad: Any = None,
    dilations: Any = None,
    groups: int = 1,
) -> Any:
    rank = x.ndim - 2
    strides, dilations = strides or (1,) * rank, dilations or (1,) * rank
    c_out, per_in, *ks = weight.shape
    geometry = [
        before_of(s, k, st_, d, pad_type, pad, i)
        for i, (s, k, st_, d) in enumerate(zip(x.shape[2:], ks, strides, dilations, strict=True))
    ]

    def element(at: tuple[int, ...]) -> float:
        first = at[1] // (c_out // groups) * per_in
        total = 0.0 if bias is None else float(bias[at[1]])
        for c, k in product(range(per_in), product(*map(range, ks))):
            place = [
                p * s + q * d - g[0] for p, s, q, d, g in zip(at[2:], strides, k, dilations, geometry, strict=True)
            ]
            if all(0 <= p < s for p, s in zip(place, x.shape[2:], strict=True)):
                total += float(x[(at[0], first + c, *place)]) * float(weight[(at[1], c, *k)])
        return total

    return built((x.shape[0], c_out, *(g[1] for g in geometry)), np.float64, element)


declare("conv", calls(_conv_calls), _conv, ulps=1, slack=0)


def _quantized_calls(draw: Draw, rng: np.random.Generator) -> Call:
    call = draw(calls(_conv_calls))
    weight = call.arguments["weight"]
    count = pick(draw, 1, weight.shape[0])
    extra = {
        "weight": values(rng, weight.shape, np.dtype(np.uint8), 0, 15),
        "quantization_type": "linear",
        "quant_scale": (2.0 ** rng.integers(-2, 2, count)).astype(FP32),
        "quant_bias": values(rng, (count,), FP32, -2, 2, grid=2),
    }
    arguments = call.arguments | extra | some(draw, nbits=[8, 4])
    mode = "wide" if call.mode == "strict" else call.mode  # the weights have more digits
    return Call(arguments, mode=mode, constant=frozenset(("weight", "quant_scale", "quant_bias")))


def _conv_quantized(
    weight: Any, quantization_type: str, quant_scale: Any, quant_bias: Any, nbits: int = 8, **given: Any
) -> Any:
    real = built(
        weight.shape,
        np.float64,
        lambda at: float(weight[at]) * quant_scale[at[0] % quant_scale.size] + quant_bias[at[0] % quant_bias.size],
    )
    return _conv(weight=real, **given)


declare("conv_quantized", calls(_quantized_calls), _conv_quantized, ulps=1, slack=0)


def _transpose_calls(draw: Draw, rng: np.random.Generator) -> Call:
    dtype = draw(st.sampled_from(FLOATS))
    rank = draw(st.integers(1, 3))
    groups, per_in, per_out = (draw(st.integers(1, 2)) for _ in range(3))
    kernel_sizes = tuple(draw(st.integers(1, 3 if rank < 3 else 2)) for _ in range(rank))
    given = _geometry(draw, rank)
    if given.get("pad_type", "valid").startswith("same"):  # larger kernels than strides: nothing is missing
        given["strides"] = tuple(draw(st.integers(1, k)) for k in kernel_sizes)
    sizes = tuple(draw(st.integers(2, 3)) for _ in range(rank))
    strides, dilations = given.get("strides", (1,) * rank), given.get("dilations", (1,) * rank)
    full = [(s - 1) * t + (k - 1) * d + 1 for s, t, k, d in zip(sizes, strides, kernel_sizes, dilations, strict=True)]
    if "pad" in given:  # something must be left
        given["pad"] = tuple(
            min(p, (f - 1) // 2) for p, f in zip(given["pad"], np.repeat(full, 2).tolist(), strict=True)
        )
    if groups > 1:
        given["groups"] = groups
    n = draw(st.integers(1, 2))
    if not given.get("pad_type", "valid").startswith("same") and draw(st.integers(0, 3)) == 0:
        given["output_shape"] = (n, groups * per_out, *(draw(st.integers(1, f + 1)) for f in full))
    arguments = {
        "x": _small(rng, (n, groups * per_in, *sizes), dtype),
        "weight": _small(rng, (groups * per_in, per_out, *kernel_sizes), dtype),
    }
    if draw(st.booleans()):
        arguments["bias"] = _small(rng, (groups * per_out,), dtype)
    return Call(arguments | given, mode=draw(sum_modes(dtype)))


def _conv_transpose(
    x: Any,
    weight: Any,
    bias: Any = None,
    pad: Any = None,
    output_shape: Any = None,
    pad_type: str = "valid",
    strides: Any = None,
    dilations: Any = None,
    groups: int = 1,
) -> Any:
    """Every input pixel adds its multiple of the kernel at its place; then the borders are cut off."""
    rank = x.ndim - 2
    strides, dilations = strides or (1,) * rank, dilations or (1,) * rank
    c_in, per_out, *ks = weight.shape
    full_sizes, begins, sizes = [], [], []
    for i, (size, k, stride, dilation) in enumerate(zip(x.shape[2:], ks, strides, dilations, strict=True)):
        full = (size - 1) * stride + (k - 1) * dilation + 1
        begin, end = (pad[2 * i], pad[2 * i + 1]) if pad_type == "custom" and pad is not None else (0, 0)
        if pad_type.startswith("same"):
            surplus = full - size * stride
            begin = surplus // 2 if pad_type == "same" else (surplus + 1) // 2
            end = surplus - begin
        full_sizes.append(full)
        begins.append(begin)
        sizes.append(full - begin - end if output_shape is None else output_shape[i - rank])
    full_result = np.zeros((x.shape[0], groups * per_out, *full_sizes))
    for at in np.ndindex(*x.shape):
        group = at[1] // (c_in // groups)
        for o, k in product(range(per_out), product(*map(range, ks))):
            place = tuple(p * s + q * d for p, s, q, d in zip(at[2:], strides, k, dilations, strict=True))
            full_result[(at[0], group * per_out + o, *place)] += float(x[at]) * float(weight[(at[1], o, *k)])

    def element(at: tuple[int, ...]) -> float:
        place = [p + b for p, b in zip(at[2:], begins, strict=True)]
        inside = all(p < f for p, f in zip(place, full_sizes, strict=True))
        total = float(full_result[(*at[:2], *place)]) if inside else 0.0
        return total if bias is None else total + float(bias[at[1]])

    return built((x.shape[0], groups * per_out, *sizes), np.float64, element)


declare("conv_transpose", calls(_transpose_calls), _conv_transpose, ulps=1, slack=0)

# --- attention


def _attention_calls(draw: Draw, rng: np.random.Generator) -> Call:
    dtype = draw(st.sampled_from(FLOATS))
    batch = draw(shapes(1, 2, 1, 2))
    length, source, e, ev = (draw(st.integers(1, 4)) for _ in range(4))
    arguments = {
        name: values(rng, (*batch, *tail), dtype, -2, 2, grid=0)
        for name, tail in (("query", (length, e)), ("key", (source, e)), ("value", (source, ev)))
    }
    mask = pick(draw, None, "bool", "float")
    shape = (length, source) if draw(st.booleans()) else (*batch, length, source)
    if mask == "bool":
        arguments["attn_mask"] = rng.integers(0, 4, shape) > 0
    elif mask == "float":
        arguments["attn_mask"] = values(rng, shape, dtype, -2, 2)
    return Call(arguments, mode=draw(modes(dtype)))


def _attention(query: Any, key: Any, value: Any, attn_mask: Any = None) -> Any:
    length, source, e = query.shape[-2], key.shape[-2], query.shape[-1]
    batch = query.shape[:-2]
    mask = None if attn_mask is None else np.broadcast_to(attn_mask, (*batch, length, source))
    result = np.empty((*batch, length, value.shape[-1]))
    for at in np.ndindex(*batch, length):
        weights = []
        for s in range(source):
            score = sum(float(query[(*at, k)]) * float(key[(*at[:-1], s, k)]) for k in range(e)) / math.sqrt(e)
            if mask is not None and mask.dtype.kind == "b":
                weights.append(math.exp(score) if mask[(*at, s)] else 0.0)
            else:
                weights.append(math.exp(score if mask is None else score + float(mask[(*at, s)])))
        for v in range(value.shape[-1]):
            total = sum(w * float(value[(*at[:-1], s, v)]) for s, w in enumerate(weights))
            result[(*at, v)] = total / sum(weights) if sum(weights) else math.nan
    return result


declare("scaled_dot_product_attention", calls(_attention_calls), _attention, like="query", ulps=1, slack=16)
