"""The axes along which a call of an operator is varied. Each is a function from a call to labelled calls.

An axis does not ask whether an operator takes the variant: eager PyTorch answers that when the index is made. Axes
compose: a variant is a call, and another axis varies it further.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from harness.cases.alternatives import alternatives
from harness.cases.calls import Call, Name, TensorSpec

Variants = Iterator[tuple[str, Call]]


@dataclass(frozen=True)
class Parameter:
    """One argument of an overload's schema. `kind` is the schema's type, such as `int[2]` or `Tensor?`."""

    name: str
    kind: str
    has_default: bool
    default: Any = None
    keyword_only: bool = False


Signature = tuple[Parameter, ...]


def given(call: Call, signature: Signature) -> dict[str, Any]:
    """Values by parameter name, defaults where the call leaves them out."""
    values = {p.name: p.default for p in signature if p.has_default}
    values.update(zip((p.name for p in signature), call.args, strict=False))
    return values | call.kwargs


def replaced(call: Call, signature: Signature, name: str, value: Any) -> Call:
    """The call with one parameter set: in its place where it was positional, else by keyword where there is one."""
    positions = [p.name for p in signature]
    place = positions.index(name)
    if place < len(call.args):
        return Call(call.op, (*call.args[:place], value, *call.args[place + 1 :]), call.kwargs)
    return Call(call.op, call.args, {**call.kwargs, name: value})


def options(call: Call, signature: Signature) -> Variants:
    """Every argument that is no tensor, and every optional one, set to other values, one at a time."""
    values = given(call, signature)
    for parameter in signature:
        value = values.get(parameter.name)
        if isinstance(value, list) and any(isinstance(v, TensorSpec) for v in value):
            continue
        if parameter.kind == "Tensor" or parameter.name in ("out", "generator", "device", "pin_memory", "layout"):
            continue
        for other in alternatives(parameter.name, parameter.kind, value, call.tensors()):
            yield f"{parameter.name}={label_of(other)}", replaced(call, signature, parameter.name, other)


def option_pairs(call: Call, signature: Signature) -> Variants:
    """Two different arguments away from what they are, the first alternatives of each."""
    firsts: dict[str, list[tuple[str, Call]]] = {}
    for label, variant in options(call, signature):
        firsts.setdefault(label.partition("=")[0], []).append((label, variant))
    for one, two in itertools.combinations(firsts, 2):
        for label, variant in firsts[one][:2]:
            value = given(variant, signature)
            for other_label, other in firsts[two][:2]:
                both = replaced(other, signature, one, value[one])
                yield f"{label},{other_label}", both


def scalars(call: Call, signature: Signature) -> Variants:
    """The same argument as a Python int, float and bool."""
    values = given(call, signature)
    for parameter in signature:
        if parameter.kind.removesuffix("?") in ("number", "Scalar"):
            for value in (2, 2.0, -1, 0.5, -2.5, 0, True):
                if repr(value) != repr(values.get(parameter.name)):
                    yield (
                        f"{parameter.name}={label_of(value)}",
                        replaced(call, signature, parameter.name, value),
                    )


_DTYPES = ("float16", "float64", "bfloat16", "int32", "int64", "int16", "int8", "uint8", "bool", "complex64")


def dtypes(call: Call, signature: Signature) -> Variants:
    """Every tensor of the first tensor's dtype in another one; then each of several alone, for mixed dtypes."""
    tensors = call.tensors()
    if not tensors:
        if any(p.name == "dtype" for p in signature):
            for dtype in ("float16", "int32", "int64", "bool"):
                yield f"dtype={dtype}", replaced(call, signature, "dtype", Name(dtype))
        return
    alike = [number for number, t in enumerate(tensors) if t.dtype == tensors[0].dtype]
    for dtype in _DTYPES:
        if dtype != tensors[0].dtype:
            yield dtype, call.change(alike, dtype=dtype)
    for number in alike if len(alike) > 1 else ():
        for dtype in ("int32", "float16"):
            yield f"tensor{number}-{dtype}", call.change([number], dtype=dtype)


#: A shape of each rank.
_SHAPES = ((), (5,), (3, 5), (2, 3, 5), (2, 3, 4, 5), (2, 1, 3, 2, 4), (2, 1, 3, 1, 2, 3))


def ranks(call: Call, signature: Signature) -> Variants:
    """Tensors of the first one's shape in every rank from 0 to 6."""
    alike = _shaped_as_first(call)
    for rank, shape in enumerate(_SHAPES if alike else ()):
        if rank != len(call.tensors()[0].shape):
            yield f"rank{rank}", call.change(alike, shape=shape, data=None)


def _shaped_as_first(call: Call) -> list[int]:
    tensors = call.tensors()
    return [number for number, t in enumerate(tensors) if t.shape == tensors[0].shape]


def empties(call: Call, signature: Signature) -> Variants:
    """One dim of size zero, the first or the last, in the first tensor and those of its shape."""
    alike = _shaped_as_first(call)
    shape = call.tensors()[0].shape if alike else ()
    if shape:
        yield "empty-first", call.change(alike, shape=(0, *shape[1:]), data=None)
        yield "empty-last", call.change(alike, shape=(*shape[:-1], 0), data=None)


def broadcasts(call: Call, signature: Signature) -> Variants:
    """Each of several tensors of one shape smaller: of size one, of lower rank, of rank 0."""
    alike = _shaped_as_first(call)
    if len(alike) < 2:
        return
    main = call.tensors()[0].shape
    smaller = {"ones": (1,) * len(main), "row": main[-1:], "column": (*main[:-1], 1), "scalar": ()}
    for number in alike:
        for name, shape in smaller.items():
            if shape != main:
                yield f"tensor{number}-{name}", call.change([number], shape=shape, data=None)


def layouts(call: Call, signature: Signature) -> Variants:
    """Each tensor with other strides."""
    for number, tensor in enumerate(call.tensors()):
        rank = len(tensor.shape)
        kinds = ["transposed", "sliced", "expanded"] if rank >= 2 else ["sliced"] if rank else []
        kinds += {4: ["channels_last"], 5: ["channels_last_3d"]}.get(rank, [])
        for kind in kinds if tensor.data is None else ():
            yield f"tensor{number}-{kind}", call.change([number], layout=kind)


def constants(call: Call, signature: Signature) -> Variants:
    """Each tensor in turn held by the program, or an input where the call holds it; then all held but the first."""
    tensors = call.tensors()
    count = len(tensors)
    for number in range(count if count > 1 else 0):
        yield f"tensor{number}-constant", call.change([number], constant=True)
    for number in (number for number, tensor in enumerate(tensors) if tensor.constant and tensor.data is None):
        yield f"tensor{number}-input", call.change([number], constant=False)
    if count > 2:
        yield "constants", call.change(range(1, count), constant=True)


def batches(call: Call, signature: Signature) -> Variants:
    """Batch sizes around the widths hardware likes, of all tensors that share the first one's leading size."""
    tensors = call.tensors()
    if not tensors or len(tensors[0].shape) < 2:
        return
    size = tensors[0].shape[0]
    for batch in (1, 9, 10, 16):
        if batch != size:
            yield f"batch{batch}", call.map_tensors(functools.partial(_batched, size, batch))


def _batched(size: int, batch: int, number: int, tensor: TensorSpec) -> TensorSpec:
    shared = tensor.shape[:1] == (size,) and tensor.data is None
    return tensor.with_(shape=(batch, *tensor.shape[1:])) if shared else tensor


def geometry(call: Call, signature: Signature) -> Variants:
    """Of a kernel given as a tensor: as large as the input, of size one, one or two for each channel (depthwise)."""
    tensors = call.tensors()
    if len(tensors) < 2 or len(tensors[0].shape) < 3 or len(tensors[1].shape) != len(tensors[0].shape):
        return
    image, kernel = tensors[0].shape, tensors[1].shape
    yield "kernel=input", call.change([1], shape=(*kernel[:2], *image[2:]))
    yield "kernel=one", call.change([1], shape=(*kernel[:2], *[1] * len(image[2:])))
    if any(p.name == "groups" for p in signature) and image[1] > 1:
        biases = [number for number, t in enumerate(tensors) if number > 1 and len(t.shape) == 1]
        for name, channels in (("depthwise", image[1]), ("multiplier", 2 * image[1])):
            grouped = replaced(call, signature, "groups", image[1]).change([1], shape=(channels, 1, *kernel[2:]))
            yield f"kernel={name}", grouped.change(biases, shape=(channels,))


_FLOAT_SETS = ("ladder", "special", "infinite", "far", "mask", "ties", "powers", "tiny")
_INT_SETS = ("int15", "int24", "int31", "beyond31")
#: So many elements that each value of a set comes up.
_ENOUGH = 24


def values(call: Call, signature: Signature) -> Variants:
    """All tensors that are like the first, from each value set; two of them over all four quadrants."""
    if len(_shaped_as_first(call)) == len(call.tensors()):
        call = _lengthened(call)
    tensors = call.tensors()
    if not tensors or tensors[0].data is not None:
        return
    first = tensors[0]
    alike = [n for n, t in enumerate(tensors) if t.shape == first.shape and t.dtype == first.dtype and t.data is None]
    if first.is_floating and len(alike) == 2:
        one, other = alike
        yield "values-quadrants", call.change([one], values="quadrants0").change([other], values="quadrants1")
    integers = _INT_SETS if first.dtype in ("int32", "int64") else ()
    for name in _FLOAT_SETS if first.is_floating else integers:
        yield f"values-{name}", call.change(alike, values=name)


def _lengthened(call: Call) -> Call:
    """The call with tensors long enough for a whole value set; they share one shape."""
    shape = call.tensors()[0].shape if call.tensors() else ()
    others = math.prod(shape[:-1])
    if not shape or not others or others * shape[-1] >= _ENOUGH:
        return call
    return call.change(range(len(call.tensors())), shape=(*shape[:-1], -(-_ENOUGH // others)), data=None)


Axis = Callable[[Call, Signature], Variants]

#: By name, in the order in which variants are listed.
AXES: dict[str, Axis] = {
    "options": options,
    "scalars": scalars,
    "geometry": geometry,
    "dtypes": dtypes,
    "ranks": ranks,
    "broadcasts": broadcasts,
    "values": values,
    "constants": constants,
    "empties": empties,
    "layouts": layouts,
    "batches": batches,
    "option_pairs": option_pairs,
}


def variants(call: Call, signature: Signature) -> Iterator[tuple[str, str, Call]]:
    """Axis, label and call for every axis; a call that an earlier axis made already is left out."""
    seen = {str(call)}
    labels: set[str] = set()
    for axis, vary in AXES.items():
        for label, variant in vary(call, signature):
            if str(variant) not in seen and label not in labels:
                seen.add(str(variant))
                labels.add(label)
                yield axis, label, variant


def label_of(value: Any) -> str:
    """A value as part of an id: no brackets, spaces or quotes.

    >>> label_of([1, -2]), label_of(0.5), label_of(None)
    ('1x-2', '0.5', 'None')
    """
    if isinstance(value, list):
        return "x".join(label_of(v) for v in value) or "empty"
    if isinstance(value, TensorSpec):
        return "x".join(map(str, value.shape)) + "tensor" if value.shape else "scalar-tensor"
    return str(value)
