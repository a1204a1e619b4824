"""Faults planted in kernels, one after the other: the property of the kernel must see each of them.

Two kinds: faults written by hand, as people make them, and for every optional parameter of every kernel a kernel that
ignores it, so that no parameter goes without an example in which it matters.
"""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.mil import InvalidProgram, KernelError
from harness.mil.kernels import KERNELS

sys.path.insert(0, str(Path(__file__).parent / "properties"))  # the rows of the properties

from kernel_properties.rows import PROPERTIES
from kernel_properties.table import check

Function = Callable[..., Any]


def given(**changes: Callable[[dict[str, Any]], Any]) -> Callable[[Function], Function]:
    """The kernel with some arguments replaced by functions of all of them."""

    def plant(function: Function) -> Function:
        def faulty(context: Any, *blocks: Any, **a: Any) -> Any:
            return function(context, *blocks, **(a | {name: change(a) for name, change in changes.items()}))

        return faulty

    return plant


def default(**values: Any) -> Callable[[Function], Function]:
    """The kernel with other defaults."""
    return lambda function: lambda context, **a: function(context, **(values | a))


def instead(formula: Function) -> Callable[[Function], Function]:
    """Another formula of the arguments altogether."""
    return lambda function: lambda context, **a: formula(**a)


def then(change: Callable[[Any], Any]) -> Callable[[Function], Function]:
    """Something done to the result."""
    return lambda function: lambda context, *blocks, **a: change(function(context, *blocks, **a))


def changed(name: str, change: Callable[[Any], Any]) -> Callable[[Function], Function]:
    """The kernel with one argument changed where it is given."""
    return lambda function: (
        lambda context, **a: function(context, **(a | ({name: change(a[name])} if a.get(name) is not None else {})))
    )


def negated(name: str) -> Callable[[Function], Function]:
    return changed(name, lambda v: -v.astype(np.int32) if v.dtype.kind in "iu" else -v)


def crossed(one: str, other: str, absent: Any) -> Callable[[Function], Function]:
    """Two optional parameters of one default swapped."""
    return given(**{one: lambda a: a.get(other, absent), other: lambda a: a.get(one, absent)})


def swapped(one: str, other: str) -> Callable[[Function], Function]:
    return given(**{one: lambda a: a.get(other), other: lambda a: a.get(one)})


def _pairs_swapped(a: dict[str, Any], name: str) -> tuple[int, ...]:
    pad = a[name]
    return tuple(pad[i ^ 1] for i in range(len(pad)))


def _flipped(w: Any) -> Any:
    return np.flip(w, tuple(range(2, w.ndim))).copy()


def _unbiased(x: Any, axes: Any = None, gamma: Any = None, beta: Any = None, epsilon: float = 1e-5) -> Any:
    over = tuple(range(x.ndim)) if axes is None else tuple(a % x.ndim for a in axes)
    count = math.prod(x.shape[a] for a in over)
    variance = x.var(over, keepdims=True) * (count / max(count - 1, 1))
    result = (x - x.mean(over, keepdims=True)) / np.sqrt(variance + epsilon)
    shape = [s if i in over else 1 for i, s in enumerate(x.shape)]
    result = result if gamma is None else result * gamma.reshape(shape)
    return result if beta is None else result + beta.reshape(shape)


def _from_the_left(a: dict[str, Any]) -> tuple[int, ...]:
    x = a["x"].shape
    return tuple((x[i] if i < len(x) else 1) if s == 0 else s for i, s in enumerate(a["shape"]))


def _longer(a: dict[str, Any]) -> tuple[int, ...]:
    return tuple(min(length + 1, a["x"].shape[a.get("seq_axis", 0)]) for length in a["lengths"])


def _do_while(function: Function) -> Function:
    def faulty(context: Any, blocks: Any, loop_vars: Any) -> Any:
        return function(context, blocks, loop_vars=tuple(blocks[1](*loop_vars)))

    return faulty


def _gates(order: tuple[int, ...], *names: str) -> Callable[[Function], Function]:
    """Weights and biases taken with their gates in another order."""

    def reordered(name: str) -> Callable[[dict[str, Any]], Any]:
        def change(a: dict[str, Any]) -> Any:
            value = a.get(name)
            return None if value is None else np.concatenate([np.split(value, len(order))[i] for i in order])

        return change

    return given(**{name: reordered(name) for name in names})


def _last_of_equals(x: Any, axis: int = -1, keep_dims: bool = False, output_dtype: str = "int32") -> Any:
    found = x.shape[axis] - 1 - np.argmax(np.flip(x, axis), axis, keepdims=keep_dims)
    return np.asarray(found).astype(output_dtype)


def _half_up(x: Any) -> Any:
    return np.copysign(np.floor(np.abs(x) + 0.5), x)


def _mean(x: Any, axes: Any = None, keep_dims: bool = False) -> Any:
    over = tuple(range(x.ndim)) if axes is None else axes
    count = math.prod(x.shape[a] for a in over)
    return x.sum(over, keepdims=keep_dims) / max(count - 1, 1)


def _first_wins(function: Function) -> Function:
    def faulty(context: Any, data: Any, indices: Any, updates: Any, mode: str = "add") -> Any:
        axes = tuple(range(indices.ndim - 1))
        return function(context, data, np.flip(indices, axes), np.flip(updates, axes), mode)

    return faulty


def _as_ends(a: dict[str, Any]) -> tuple[int, ...]:
    first = [b % s for b, s in zip(a["begin"], a["x"].shape, strict=True)]
    return tuple(s if s == -1 else max(s - f, 0) for s, f in zip(a["size"], first, strict=True))


def _repeated(x: Any, reps: tuple[int, ...]) -> Any:
    for axis, count in enumerate(reps):
        x = np.repeat(x, count, axis)
    return x


def _quantized_half_up(function: Function) -> Function:
    def faulty(context: Any, **a: Any) -> Any:
        nudged = np.nextafter(a["input"], np.full_like(a["input"], np.inf))
        return function(context, **(a | {"input": nudged}))

    return faulty


def _classified(probabilities: Any, classes: Any) -> list[Any]:
    labels = [c.item() if isinstance(c, np.ndarray) else c for c in classes]
    found = dict(zip(labels, probabilities.reshape(-1).astype(np.float64).tolist(), strict=True))
    return [max(reversed(labels), key=lambda label: found[label]), found]


def _bits_backwards(a: dict[str, Any]) -> Any:
    if a.get("shape") is None:
        return a["indices"]
    return np.packbits(np.unpackbits(a["indices"], bitorder="big"), bitorder="little")


def _as_depth_to_space(function: Function) -> Function:
    return lambda context, x, upscale_factor: KERNELS["depth_to_space"].function(context, x, upscale_factor)


# kernel, what is wrong, the fault
FAULTS: list[tuple[str, str, Callable[[Function], Function]]] = [
    # operands and operators
    ("sub", "operands swapped", swapped("x", "y")),
    ("real_div", "operands swapped", swapped("x", "y")),
    ("pow", "operands swapped", swapped("x", "y")),
    ("floor_div", "rounds towards zero", instead(lambda x, y: np.trunc(np.divide(x, y)).astype(x.dtype))),
    ("floor_div", "the formula for infinities", instead(lambda x, y: np.floor(np.divide(x, y)).astype(x.dtype))),
    ("mod", "has the sign of the dividend", instead(lambda x, y: np.fmod(x, y))),
    ("greater_equal", "strict", instead(lambda x, y: x > y)),
    ("less", "not strict", instead(lambda x, y: x <= y)),
    ("maximum", "NaN is ignored", instead(lambda x, y: np.fmax(x, y))),
    ("logical_xor", "or", instead(lambda x, y: x | y)),
    ("select", "branches swapped", swapped("a", "b")),
    ("add", "saturates", instead(lambda x, y: np.clip(np.add(x, y, dtype=np.float64), -(2**31), 2**31 - 1))),
    # elementwise: sign, rounding, epsilon
    ("round", "half away from zero", instead(_half_up)),
    ("ceil", "truncates", instead(lambda x: np.trunc(x))),
    ("sign", "1 at zero", instead(lambda x: np.where(x >= 0, 1, np.where(x < 0, -1, x)))),
    ("abs", "keeps the sign of zero", instead(lambda x: np.where(x < 0, -x, x))),
    ("rsqrt", "default epsilon 1e-5", default(epsilon=1e-5)),
    ("log", "no epsilon", default(epsilon=0.0)),
    ("inverse", "epsilon is subtracted", given(epsilon=lambda a: -a.get("epsilon", 1e-4))),
    ("clip", "no lower bound", given(alpha=lambda a: -1e4)),
    ("threshold", "minimum", instead(lambda x, alpha: np.minimum(x, alpha))),
    ("cast", "rounds to nearest", given(x=lambda a: np.rint(a["x"]) if a["x"].dtype.kind == "f" else a["x"])),
    ("cast", "bool is x > 0", given(x=lambda a: a["x"] > 0 if a["dtype"] == "bool" else a["x"])),
    ("erf", "complement", then(lambda r: 1 - r)),
    # activations
    ("gelu", "default is the approximation", default(mode="TANH_APPROXIMATION")),
    ("elu", "exponential without - 1", instead(lambda x, alpha=1.0: np.where(x > 0, x, alpha * np.exp(x)))),
    ("leaky_relu", "default 0.1", default(alpha=0.1)),
    ("sigmoid_hard", "default 1/6, as PyTorch's", default(alpha=1 / 6)),
    ("prelu", "first channel for all", changed("alpha", lambda v: np.full_like(v, v[0]))),
    ("softmax", "default axis 0", default(axis=0)),
    ("relu6", "no upper bound", instead(lambda x: np.maximum(x, 0))),
    ("thresholded_relu", "strict", instead(lambda x, alpha=1.0: np.where(x > alpha, x, 0 * x))),
    # reductions and order
    ("reduce_mean", "divides by n - 1", instead(_mean)),
    ("reduce_argmax", "last of equals", instead(_last_of_equals)),
    ("reduce_l2_norm", "no square root", then(np.square)),
    ("reduce_log_sum_exp", "no logarithm", then(np.exp)),
    ("cumsum", "exclusive by default", default(exclusive=True)),
    ("topk", "ascending by default", default(ascending=True)),
    ("argsort", "ascending by default", default(ascending=True)),
    # indices
    ("gather", "negative indices are clamped", given(indices=lambda a: np.maximum(a["indices"], 0))),
    ("gather_along_axis", "index off by one", given(indices=lambda a: a["indices"] + 1)),
    ("gather_nd", "indices backwards", given(indices=lambda a: a["indices"][..., ::-1])),
    ("scatter", "default is update", default(mode="update")),
    ("scatter_nd", "the first of equal indices wins", _first_wins),
    ("scatter_along_axis", "minimum for maximum", changed("mode", lambda m: {"max": "min"}.get(m, m))),
    ("one_hot", "index off by one", given(indices=lambda a: a["indices"] + 1)),
    ("range_1d", "end inclusive", given(end=lambda a: a["end"] + a["step"])),
    ("slice_by_index", "end inclusive", given(end=lambda a: tuple(e + 1 for e in a["end"]))),
    ("slice_by_size", "size is an end", given(size=_as_ends)),
    ("non_zero", "column-major order", then(lambda r: r[np.lexsort(r.T)] if r.size else r)),
    # movement
    ("transpose", "inverse permutation", changed("perm", lambda p: tuple(np.argsort(np.array(p) % len(p))))),
    ("reshape", "0 is a size", instead(lambda x, shape: x.reshape(shape))),
    ("reshape", "0 counts from the left", given(shape=_from_the_left)),
    ("reshape", "column-major order", given(x=lambda a: np.ravel(a["x"], "F").reshape(a["x"].shape))),
    ("pixel_shuffle", "block position slow", _as_depth_to_space),
    ("split", "sizes backwards", changed("split_sizes", lambda v: v[::-1])),
    ("pad", "before and after swapped", given(pad=lambda a: _pairs_swapped(a, "pad"))),
    ("crop", "height and width swapped", swapped("crop_height", "crop_width")),
    ("tile", "elements repeated", instead(_repeated)),
    ("band_part", "lower and upper swapped", crossed("lower", "upper", -1)),
    ("reverse_sequence", "one element too many", given(lengths=_longer)),
    ("sliding_windows", "stride 2 by default", default(stride=2)),
    ("space_to_batch", "before and after swapped", changed("paddings", lambda p: p[:, ::-1])),
    # sums
    ("matmul", "transposes swapped", crossed("transpose_x", "transpose_y", False)),
    ("linear", "bias subtracted", negated("bias")),
    ("einsum", "operand negated", then(np.negative)),
    ("conv", "kernel flipped", changed("weight", _flipped)),
    ("conv", "odd padding before", changed("pad_type", lambda p: {"same": "same_lower"}.get(p, p))),
    ("conv_transpose", "kernel not flipped", changed("weight", _flipped)),
    ("avg_pool", "sum", given(x=lambda a: a["x"] * math.prod(a["kernel_sizes"]))),
    ("max_pool", "strides default to the kernel", given(strides=lambda a: a.get("strides") or a["kernel_sizes"])),
    ("max_pool", "padding counts as zero", then(lambda r: np.maximum(r, 0))),
    ("layer_norm", "unbiased variance", instead(_unbiased)),
    ("layer_norm", "default epsilon 1e-3", default(epsilon=1e-3)),
    ("batch_norm", "default epsilon 1e-3", default(epsilon=1e-3)),
    ("l2_norm", "default epsilon 1e-12", default(epsilon=1e-12)),
    ("local_response_norm", "alpha not divided by the size", given(alpha=lambda a: a.get("alpha", 1e-4) * a["size"])),
    ("scaled_dot_product_attention", "not scaled", changed("query", lambda q: q * math.sqrt(q.shape[-1]))),
    ("scaled_dot_product_attention", "mask inverted", changed("attn_mask", lambda m: ~m if m.dtype.kind == "b" else m)),
    ("gru", "gates reset, update, output", _gates((0, 2, 1), "weight_ih", "weight_hh", "bias", "input_bias")),
    ("lstm", "input and forget swapped", _gates((1, 0, 2, 3), "weight_ih", "weight_hh", "bias")),
    ("rnn", "default relu", default(activation="relu")),
    # images
    ("upsample_nearest_neighbor", "axes swapped", crossed("scale_factor_height", "scale_factor_width", 1.0)),
    ("upsample_bilinear", "corners not aligned by default", default(align_corners=False)),
    ("resize_bilinear", "default aligns corners", default(sampling_mode="STRICT_ALIGN_CORNERS")),
    ("crop_resize", "boxes end before their last row", changed("boxes", lambda b: b - np.array([0, 0, 1, 1], b.dtype))),
    ("resample", "row and column swapped", given(coordinates=lambda a: a["coordinates"][..., ::-1])),
    ("affine", "matrix rows swapped", changed("transform_matrix", lambda m: np.roll(m, 3, -1))),
    # weights, lists, loops
    ("quantize", "zero point subtracted", negated("zero_point")),
    ("quantize", "rounds half up", _quantized_half_up),
    ("dequantize", "zero point added", negated("zero_point")),
    ("constexpr_lut_to_dense", "bits in the other order", given(indices=_bits_backwards)),
    ("constexpr_blockwise_shift_scale", "offset added", negated("offset")),
    ("constexpr_sparse_to_dense", "values backwards", given(nonzero_data=lambda a: a["nonzero_data"][::-1])),
    ("non_maximum_suppression", "every overlap suppresses", given(iou_threshold=lambda a: 0.0)),
    ("cond", "branches swapped", given(pred=lambda a: not a["pred"])),
    ("while_loop", "body before the first condition", _do_while),
    ("list_write", "index off by one", given(index=lambda a: a["index"] + 1)),
    ("write_state", "nothing is written", instead(lambda input, data: [])),
    ("classify", "last of equals", instead(_classified)),
    ("random_normal", "variance for deviation", changed("stddev", np.square)),
]  # fmt: skip


# Where the fault makes shapes that do not fit, which numpy refuses.
RAISING = {"matmul": (KernelError,), "reshape": (KernelError,)}


def plant(monkeypatch: pytest.MonkeyPatch, name: str, fault: Callable[[Function], Function]) -> None:
    kernel = KERNELS[name]
    monkeypatch.setitem(KERNELS, name, dataclasses.replace(kernel, function=fault(kernel.function)))


def assert_seen(name: str, *also: type[Exception]) -> None:
    """The property fails by what it says about values, shapes and types, not by a fault that stumbles over itself."""
    with pytest.raises((AssertionError, InvalidProgram, *also)):
        check(name, shrink=False)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of a fault on an empty tensor
@pytest.mark.parametrize(("name", "fault"), [pytest.param(n, f, id=f"{n}: {what}") for n, what, f in FAULTS])
def test_a_planted_fault_is_seen(monkeypatch, name, fault):
    plant(monkeypatch, name, fault)
    assert_seen(name, *RAISING.get(name, ()))


def test_there_are_enough_of_them_and_in_most_families():
    assert len(FAULTS) >= 30
    untouched = {k.family for k in KERNELS.values()} - {KERNELS[name].family for name, _, _ in FAULTS}
    assert untouched == set()


@pytest.mark.parametrize("name", ["add", "conv", "while_loop", "scatter_nd", "write_state"])
def test_a_wrapper_alone_is_no_fault(monkeypatch, name):
    plant(monkeypatch, name, given())
    check(name)


# --- every optional parameter matters

# Those that change nothing a caller can see, and why.
WITHOUT_EFFECT = {
    ("conv_quantized", "nbits"): "the width of the stored weight; its values are given",
    ("make_list", "dynamic_length"): "says what may be written later",
    ("topk", "sort"): "without it any order is right: we sort all the same",
    ("random_bernoulli", "seed"): "values are free; see the test of seeds",
    ("random_normal", "seed"): "values are free; see the test of seeds",
    ("random_uniform", "seed"): "values are free; see the test of seeds",
    ("random_categorical", "seed"): "values are free; see the test of seeds",
    **{
        (name, "validate_indices"): "asks for an error in place of an undefined result; see tests/mil/kernels"
        for name in ("gather", "gather_along_axis", "gather_nd", "scatter", "scatter_along_axis", "scatter_nd")
    },
}
OPTIONAL = [(n, p) for n, k in sorted(KERNELS.items()) for p in k.order if p not in k.required]


def ignoring(parameter: str) -> Callable[[Function], Function]:
    return lambda function: (
        lambda context, *blocks, **a: function(context, *blocks, **{k: v for k, v in a.items() if k != parameter})
    )


@pytest.mark.parametrize(("name", "parameter"), OPTIONAL, ids=[f"{n}.{p}" for n, p in OPTIONAL])
def test_an_ignored_parameter_is_seen(monkeypatch, name, parameter):
    plant(monkeypatch, name, ignoring(parameter))
    if (name, parameter) in WITHOUT_EFFECT:
        check(name)
    else:
        assert_seen(name, KernelError)  # shapes that no longer fit


def test_the_exceptions_exist():
    assert set(WITHOUT_EFFECT) <= set(OPTIONAL)
    assert set(PROPERTIES) == set(KERNELS)
