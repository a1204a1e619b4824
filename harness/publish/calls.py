"""A record's call, read back: `conv2d(float32[1, 3, 8, 8], float32[4, 3, 3, 3, constant=True])`.

What records show of a call is meant for people; here it becomes arguments again, of which conditions can be told.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

#: Names of dtypes, as a regular expression.
DTYPES = "bfloat16|bool|complex128|complex32|complex64|float16|float32|float64|float8_\\w+|u?int(?:8|16|32|64)"
_DTYPE = re.compile(DTYPES)
#: Where a tensor begins: its dtype and a bracket.
_TENSOR = re.compile(rf"\b({DTYPES})\[")
#: Where the brackets of a tensor stand, as Python reads it.
_READ = "_tensor"


@dataclass(frozen=True)
class ShownTensor:
    """A tensor of a call: dtype, shape, and options such as `layout`, `values`, `constant`, by name. One that is shown
    by its values, `int64([[0, 3], [9, 1]])`, has their shape."""

    dtype: str
    shape: tuple[int, ...]
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def constant(self) -> bool:
        return bool(self.options.get("constant"))

    @property
    def rank(self) -> int:
        return len(self.shape)


@dataclass(frozen=True)
class Unread:
    """An argument that is no literal, as it is shown: a dtype, a slice, an object."""

    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class ShownCall:
    """A function's name, or an operator's without namespace and overload, and its arguments."""

    function: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]

    def tensors(self) -> Iterator[ShownTensor]:
        for value in (*self.args, *self.kwargs.values()):
            yield from tensors_in(value)


def tensors_in(value: Any) -> Iterator[ShownTensor]:
    if isinstance(value, ShownTensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from tensors_in(one)


@functools.lru_cache(maxsize=65536)
def read_call(text: str) -> ShownCall | None:
    """None for text that is no call: an expression of several, or what a case could not tell."""
    try:
        node = ast.parse(_as_python(text), mode="eval").body
    except (SyntaxError, ValueError):
        return None
    if not isinstance(node, ast.Call) or isinstance(node.func, ast.Call) or ast.unparse(node.func) == _READ:
        return None
    kwargs = {k.arg: _value(k.value) for k in node.keywords if k.arg}
    return ShownCall(ast.unparse(node.func), tuple(_value(a) for a in node.args), kwargs)


def _as_python(text: str) -> str:
    """Tensors as calls: `float32[3, 5, layout='sliced']` is `_tensor('float32', 3, 5, layout='sliced')`."""
    parts: list[str] = []
    closing: list[str] = []
    at = 0
    while at < len(text):
        if (found := _TENSOR.match(text, at)) is not None:
            inside = "" if text[found.end() : found.end() + 1] == "]" else ", "
            parts.append(f"{_READ}('{found[1]}'{inside}")
            closing.append(")")
            at = found.end()
            continue
        if text[at] in "\"'":
            end = text.find(text[at], at + 1)
            end = len(text) if end < 0 else end + 1
            parts.append(text[at:end])
            at = end
            continue
        if text[at] == "[":
            closing.append("]")
        parts.append(closing.pop() if text[at] == "]" and closing else text[at])
        at += 1
    return "".join(parts)


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == _READ:
        first, *sizes = [_value(a) for a in node.args]
        shape = tuple(size for size in sizes if isinstance(size, int))
        return ShownTensor(str(first), shape, _options(node))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and _DTYPE.fullmatch(node.func.id):
        return ShownTensor(node.func.id, _shape_of(_value(node.args[0]) if node.args else []), _options(node))
    if isinstance(node, (ast.List, ast.Tuple)):
        return [_value(one) for one in node.elts]
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError):
        return Unread(ast.unparse(node))


def _options(node: ast.Call) -> dict[str, Any]:
    return {k.arg: _value(k.value) for k in node.keywords if k.arg}


def _shape_of(data: Any) -> tuple[int, ...]:
    return (len(data), *(_shape_of(data[0]) if data else ())) if isinstance(data, list) else ()
