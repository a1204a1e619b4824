"""What can be said of a call: facts, of which conditions are made.

A fact is a clause that completes "when": `alpha other than 1`, `a 0-dimensional tensor`, `weight that is no constant`.
Each call has the facts that are true of it. Of two facts that separate the same calls the lighter one is told: what a
user recognises first weighs least.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.publish.calls import ShownCall, ShownTensor, Unread, tensors_in
from harness.publish.schema import REORDERED, Parameter

Facts = Mapping[str, int]

#: Weights. One number of many that were not tried is the last thing to put a failure down to.
OWN, PLAIN, EXACT, SHAPE, ODD, HOW, NUMBER = 1, 2, 3, 4, 5, 7, 8
#: What a named value set holds, in words (`harness.cases.drawing`).
VALUES = {
    "special": "infinities or NaN among the values",
    "infinite": "infinities among the values",
    "far": "values beyond 1,000",
    "ladder": "values up to 300",
    "powers": "values from 2^-14 to 2^15",
    "tiny": "values below 2^-10",
    "int15": "integers beyond 2^15",
    "int24": "integers beyond 2^24",
    "int31": "integers up to 2^31",
    "beyond31": "integers beyond 2^31",
    "ties": "values halfway between integers",
    "mask": "a mask of large negative values",
}
#: Reductions of losses as the operators number them.
_REDUCTIONS = {"none": 0, "mean": 1, "sum": 2}
#: Functions that take images, or sequences of them: their batch dimension may be left out.
_BATCHED = re.compile(r"(?:pool|conv\w*|pad)(\d)d$")
_INTEGERS = frozenset({"int64", "int32", "int16", "int8", "uint8", "uint16", "uint32", "uint64"})
_HALVES = frozenset({"float16", "bfloat16"})


def facts(
    call: ShownCall,
    schema: Sequence[Parameter] = (),
    *,
    public: bool = True,
    direct: bool = False,
    overload: str = "",
) -> Facts:
    """The facts of a call; `schema` are the operator's parameters where they are known. A call of a `public` function
    has its arguments in that function's order. `direct` of an operator called by its own name, as no user does, and
    `overload` is told apart from others of its packet."""
    found: dict[str, int] = {}
    for text, weight in _all(call, schema, public, direct, overload):
        found[text] = min(weight, found.get(text, weight))
    return found


def _all(
    call: ShownCall, schema: Sequence[Parameter], public: bool, direct: bool, overload: str
) -> Iterator[tuple[str, int]]:
    given, tensors = _named(call, schema, REORDERED.get(call.function.rpartition(".")[2]) if public else None)
    yield from _of_tensors(list(call.tensors()))
    for name, tensor in tensors:
        yield from _of_tensor(name, tensor)
    first = next((tensor.rank for name, tensor in tensors if name == "input"), None)
    for name, tensor in tensors:
        if first is not None and name != "input" and tensor.rank > first:
            yield f"{name} of more dimensions than the input", PLAIN
    image = _BATCHED.search(call.function)
    if image and any(name == "input" and tensor.rank == int(image[1]) + 1 for name, tensor in tensors):
        yield "an input without batch dimension", OWN
    for parameter, value in given:
        yield from _of_argument(parameter, value)
    known = {parameter.name for parameter, _ in given}
    for parameter in schema:
        if parameter.default is not None and parameter.name not in known:
            yield f"`{parameter.name}` left out", PLAIN
            yield f"`{parameter.name}` at its default of {_as_written(parameter)}", EXACT
    yield (f"called as `torch.ops.aten.{call.function}`" if direct else f"called as `{call.function}`"), HOW
    if overload:
        yield f"the overload `{overload}`", ODD


def _named(
    call: ShownCall, schema: Sequence[Parameter], names: Sequence[str] | None = None
) -> tuple[list[tuple[Parameter, Any]], list[tuple[str, ShownTensor]]]:
    """Arguments that are no tensors with their parameters, and tensors by name. `names` are those of positional
    arguments where they stand in another order than in the schema."""
    by_name = {parameter.name: parameter for parameter in schema}
    ordered = schema if names is None else [by_name.get(name) or Parameter(name, "") for name in names]
    given: list[tuple[Parameter, Any]] = []
    tensors: list[tuple[str, ShownTensor]] = []
    arguments = [(ordered[n] if n < len(ordered) else None, n, value) for n, value in enumerate(call.args)]
    arguments += [(by_name.get(name) or Parameter(name, ""), -1, value) for name, value in call.kwargs.items()]
    for parameter, number, value in arguments:
        held = list(tensors_in(value))
        name = f"`{parameter.name}`" if parameter else f"argument {number + 1}"
        if number == 0 or (parameter and parameter.name in ("self", "input")):
            name = "input"
        if held:
            tensors += [(name, tensor) for tensor in held]
            if parameter and "?" in parameter.type:
                given.append((parameter, Unread("a tensor")))
        else:
            given.append((parameter or Parameter(f"argument {number + 1}", ""), value))
    return given, tensors


def _of_argument(parameter: Parameter, value: Any) -> Iterator[tuple[str, int]]:
    name = f"`{parameter.name}`" if not parameter.name.startswith("argument ") else parameter.name
    if value is None:
        yield f"`{parameter.name}=None`", EXACT
        if parameter.default not in (None, "None"):
            yield f"{name} other than {_as_written(parameter)}", PLAIN
        return
    if isinstance(value, Unread):
        yield f"{name} given", PLAIN
        if value.text != "a tensor":
            yield f"`{parameter.name}={value}`", PLAIN
        return
    value = _REDUCTIONS.get(value, value) if parameter.name == "reduction" and isinstance(value, str) else value
    if parameter.default is not None:
        default = _literal(parameter.default)
        if _same(value, default):
            yield f"{name} at its default of {_as_written(parameter)}", EXACT
        else:
            yield f"{name} given" if default is None else f"{name} other than {_as_written(parameter)}", OWN
    elif parameter.type != "Scalar":
        yield f"{name} given", PLAIN
    if parameter.type == "Scalar":
        yield f"a number as {name}", PLAIN
        if not isinstance(value, float):
            yield f"an integer or bool as {name}", PLAIN
    shown = next((repr(k) for k, v in _REDUCTIONS.items() if parameter.name == "reduction" and v == value), repr(value))
    if isinstance(value, (bool, str)) or parameter.name == "reduction":
        yield f"`{parameter.name}={shown}`", PLAIN
        return
    if isinstance(value, (int, float)):
        yield f"`{parameter.name}={shown}`", NUMBER
    numbers = [v for v in _flat(value) if isinstance(v, (int, float)) and not isinstance(v, bool)]
    yield from _of_numbers(name, numbers, many=isinstance(value, list))
    if isinstance(value, list):
        yield (
            (
                f"an empty {name}"
                if not value
                else f"one entry in {name}"
                if len(value) == 1
                else f"{len(value)} entries in {name}"
            ),
            EXACT,
        )
        if len(value) > 1:
            yield f"more than one entry in {name}", EXACT
        if len({repr(v) for v in value}) > 1:
            yield f"entries of {name} that differ", EXACT


def _of_numbers(name: str, numbers: Sequence[float], *, many: bool) -> Iterator[tuple[str, int]]:
    if any(v < 0 for v in numbers):
        yield f"negative {name}", PLAIN
        if all(v != -1 for v in numbers):
            yield f"negative {name} other than -1", EXACT
    if any(v == 0 for v in numbers):
        yield (f"a 0 in {name}", EXACT) if many else (f"{name} of 0", NUMBER)
    if any(v > 0 for v in numbers):
        yield f"positive {name}", EXACT
    if any(v > 1 for v in numbers):
        yield f"{name} above 1", PLAIN
    if any(isinstance(v, float) and not v.is_integer() for v in numbers):
        yield f"fractional {name}", PLAIN
    if any(isinstance(v, float) for v in numbers):
        yield f"a float as {name}", EXACT
    if numbers and all(isinstance(v, int) for v in numbers):
        yield f"an integer as {name}", EXACT


def _of_tensors(tensors: Sequence[ShownTensor]) -> Iterator[tuple[str, int]]:
    dtypes = {tensor.dtype for tensor in tensors}
    shapes = {tensor.shape for tensor in tensors}
    if dtypes & _INTEGERS:
        yield "an integer tensor", PLAIN
    if dtypes & {"int8", "uint8"}:
        yield "an int8 or uint8 tensor", PLAIN
    if dtypes & {"int8", "uint8", "int16"}:
        yield "an 8- or 16-bit integer tensor", PLAIN
    if "bool" in dtypes:
        yield "a bool tensor", PLAIN
    if dtypes and not any("float" in d or "complex" in d for d in dtypes):
        yield "integer or bool tensors alone", PLAIN
    if dtypes & _HALVES:
        yield "a float16 or bfloat16 tensor", PLAIN
    if any("complex" in d for d in dtypes):
        yield "a complex tensor", OWN
    for dtype in dtypes:
        yield f"a {dtype} tensor", EXACT
    if len(dtypes) > 1:
        yield "tensors of different dtypes", PLAIN
    if any(not tensor.shape for tensor in tensors):
        yield "a 0-dimensional tensor", PLAIN
    if any(0 in tensor.shape for tensor in tensors):
        yield "a size of 0", PLAIN
    if any(1 in tensor.shape for tensor in tensors):
        yield "a size of 1", SHAPE
    for limit in (3, 4, 5):
        if any(tensor.rank > limit for tensor in tensors):
            yield f"rank above {limit}", PLAIN if limit > 3 else EXACT
    if len(shapes) > 1:
        yield "tensors of different shapes", EXACT
    if len({tensor.rank for tensor in tensors}) > 1:
        yield "tensors of different ranks", EXACT
    if any("layout" in t.options or "strides" in t.options for t in tensors):
        yield "an input that is not contiguous", OWN
    if any(tensor.constant for tensor in tensors):
        yield "a constant tensor", SHAPE
    for tensor in tensors:
        if (values := tensor.options.get("values")) in VALUES:
            yield VALUES[values], EXACT
    yield (f"{len(tensors)} tensor{'' if len(tensors) == 1 else 's'}"), ODD
    if len(tensors) > 1:
        yield "more than one tensor", ODD


def _of_tensor(name: str, tensor: ShownTensor) -> Iterator[tuple[str, int]]:
    subject = "an input" if name == "input" else name
    if name != "input":
        yield f"a tensor as {subject}", PLAIN
        yield f"{subject} that is {'a' if tensor.constant else 'no'} constant", EXACT
    elif tensor.constant:
        yield "an input that is a constant", PLAIN
    weight = PLAIN if name == "input" else EXACT
    if tensor.dtype in _INTEGERS:
        yield f"{subject} of integers", weight
    elif tensor.dtype == "bool":
        yield f"{subject} of bool", weight
    else:
        yield f"{subject} of floats", SHAPE
    yield f"{subject} of {tensor.dtype}", EXACT
    yield f"{subject} of rank {tensor.rank}", EXACT
    for limit in (2, 3, 4):
        if tensor.rank < limit:
            yield f"{subject} of rank below {limit}", EXACT
        else:
            yield f"{subject} of rank {limit} or more", SHAPE
    if tensor.rank and tensor.shape[-1] == 1:
        yield f"{subject} whose last size is 1", SHAPE
    if tensor.rank and tensor.shape[0] > 1:
        yield f"{subject} whose first size is above 1", ODD
    if tensor.rank and all(size == 1 for size in tensor.shape):
        yield f"{subject} of one element", SHAPE


def _as_written(parameter: Parameter) -> str:
    """Its default as a user writes it: `1` of `[1, 1]`, `'none'`."""
    value = _literal(parameter.default or "")
    if parameter.name == "reduction":
        return next((repr(k) for k, v in _REDUCTIONS.items() if v == value), repr(value))
    if isinstance(value, list) and value and len(set(map(repr, value))) == 1:
        return repr(value[0])
    return repr(value) if not isinstance(value, Unread) else str(value)


@functools.cache
def _literal_of(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return {"True": True, "False": False, "Mean": 1}.get(text, Unread(text))


def _literal(text: str) -> Any:
    return _literal_of(text)


def _same(value: Any, default: Any) -> bool:
    """Whether an argument is the default: one number stands for a list of it."""
    if isinstance(default, list) and not isinstance(value, list):
        return bool(default) and all(value == one for one in default)
    if isinstance(value, list) and not isinstance(default, list):
        return bool(value) and all(one == default for one in value)
    if isinstance(value, list) and isinstance(default, list) and default and len(set(map(repr, default))) == 1:
        return bool(value) and all(one == default[0] for one in value)
    return (type(value) is type(default) and value == default) or (
        isinstance(value, (int, float)) and isinstance(default, (int, float)) and value == default
    )


def _flat(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        for one in value:
            yield from _flat(one)
    else:
        yield value
