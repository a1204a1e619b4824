"""Calls of ATen operators as text: what the generated cases are made of, readable in an index and in a report.

    aten.add.Tensor(float32(2, 3), float32(3), alpha=2)
    aten.embedding.default(float32(10, 4), int64([[0, 3], [9, 1]]))
    aten.sum.dim_IntList(float32(2, 3, values='ladder', layout='transposed'), [-1], True, dtype=float16)

A tensor is its dtype called with its shape, or with a nested list of values. Its options: `low` and `high` (uniform
between them), `values` (a named value set of `drawing`), `layout` (how it lies in memory), `constant` (held by the
program, as a weight is, instead of being an input of it). Other arguments are Python literals; a bare name is a
dtype, a memory format or a layout of torch, `inf` or `nan`.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from harness.evidence.vocabulary import HarnessError

DTYPES = (
    *("float32", "float16", "bfloat16", "float64", "int64", "int32", "int16", "int8", "uint8", "bool"),
    *("complex64", "complex128", "complex32", "uint16", "uint32", "uint64", "float8_e4m3fn", "float8_e5m2"),
)
#: Names of torch that stand for themselves among the arguments.
NAMES = ("contiguous_format", "channels_last", "channels_last_3d", "preserve_format", "strided", "sparse_coo")
FLOATS = {"inf": math.inf, "nan": math.nan}


@dataclass(frozen=True)
class TensorSpec:
    """A tensor to be drawn. `data`, a nested list, stands in for drawing; `values` names a value set."""

    dtype: str
    shape: tuple[int, ...]
    low: float | None = None
    high: float | None = None
    values: str = ""
    layout: str = ""
    constant: bool = False
    data: tuple[Any, ...] | float | None = None

    def __str__(self) -> str:
        parts = [render(self.data)] if self.data is not None else [str(size) for size in self.shape]
        for name in ("low", "high"):
            if getattr(self, name) is not None:
                parts.append(f"{name}={render(getattr(self, name))}")
        parts += [f"{name}={getattr(self, name)!r}" for name in ("values", "layout") if getattr(self, name)]
        parts += ["constant=True"] if self.constant else []
        return f"{self.dtype}({', '.join(parts)})"

    @property
    def is_floating(self) -> bool:
        return "float" in self.dtype

    def with_(self, **changes: Any) -> TensorSpec:
        return replace(self, **changes)


@dataclass(frozen=True)
class Name:
    """A dtype, memory format or layout of torch, by its name."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, order=True)
class Ref:
    """A value of a program among the arguments of a later call: by name, one result of several by its number too."""

    name: str
    index: int | None = None

    def __str__(self) -> str:
        return self.name if self.index is None else f"{self.name}[{self.index}]"


@dataclass(frozen=True)
class Call:
    """An overload and its arguments: literals, `TensorSpec`, `Name`, and lists of them."""

    op: str
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        parts = [render(a) for a in self.args] + [f"{k}={render(v)}" for k, v in self.kwargs.items()]
        return f"{self.op}({', '.join(parts)})"

    def tensors(self) -> list[TensorSpec]:
        """Its tensors in the order of the arguments, those in lists too."""
        return [leaf for leaf in leaves((*self.args, *self.kwargs.values())) if isinstance(leaf, TensorSpec)]

    def map_leaves(self, change: Callable[[Any], Any]) -> Call:
        """The call with everything among its arguments that is no list replaced by `change(it)`."""

        def visit(value: Any) -> Any:
            return [visit(v) for v in value] if isinstance(value, list) else change(value)

        args = tuple(visit(a) for a in self.args)
        return Call(self.op, args, {k: visit(v) for k, v in self.kwargs.items()})

    def map_tensors(self, change: Callable[[int, TensorSpec], TensorSpec]) -> Call:
        """The call with every tensor replaced by `change(its number, it)`."""
        counter = iter(range(10**6))
        return self.map_leaves(lambda leaf: change(next(counter), leaf) if isinstance(leaf, TensorSpec) else leaf)

    def refs(self) -> list[Ref]:
        """The values it takes from earlier calls, in the order of the arguments."""
        return [leaf for leaf in leaves((*self.args, *self.kwargs.values())) if isinstance(leaf, Ref)]

    def change(self, numbers: Collection[int], **changes: Any) -> Call:
        """The call with fields of the tensors of these numbers replaced."""
        return self.map_tensors(lambda number, t: t.with_(**changes) if number in numbers else t)

    @property
    def dtype(self) -> str:
        """That of the first tensor; of a call without one, of its `dtype` argument; else float32."""
        tensors = self.tensors()
        if tensors:
            return tensors[0].dtype
        given = self.kwargs.get("dtype")
        return given.name if isinstance(given, Name) else "float32"


def leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from leaves(item)
    else:
        yield value


def render(value: Any) -> str:
    """An argument as text that `parse` reads back."""
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(render(v) for v in value) + "]"
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else "-inf" if value < 0 else "inf"
    return str(value) if isinstance(value, (TensorSpec, Name, Ref)) else repr(value)


def shown(call: Call) -> str:
    """The call as a reader is shown it: `gelu(float32[10, 10], approximate='tanh')`.

    >>> shown(parse("aten.sum.dim_IntList(float32(2, 3, values='ladder'), [-1], True, dtype=float16)"))
    "sum(float32[2, 3, values='ladder'], [-1], True, dtype=float16)"
    >>> shown(parse("quantized_decomposed.choose_qparams.tensor(int64([[0, 3], [9, 1]]))"))
    'choose_qparams(int64([[0, 3], [9, 1]]))'
    """
    parts = [_shown(a) for a in call.args] + [f"{name}={_shown(value)}" for name, value in call.kwargs.items()]
    return f"{call.op.split('.')[1]}({', '.join(parts)})"


def _shown(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_shown, value)) + "]"
    if not isinstance(value, TensorSpec):
        return render(value)
    if value.data is not None:
        return str(value)  # a list of values in brackets would look like a shape
    return f"{value.dtype}[{str(value).removeprefix(value.dtype)[1:-1]}]"


def parse(text: str, values: Collection[str] = ()) -> Call:
    """Read a call; `values` are the names of values it may take from earlier ones.

    Raises `HarnessError` naming what is not understood.
    """
    try:
        node = ast.parse(text.strip(), mode="eval").body
    except SyntaxError as error:
        raise HarnessError(f"not a call of an operator: {text!r} ({error.msg})") from None
    if not isinstance(node, ast.Call):
        raise HarnessError(f"not a call of an operator: {text!r}")
    op = ast.unparse(node.func)
    kwargs = {k.arg or "": _value(k.value, values) for k in node.keywords}
    return Call(op, tuple(_value(a, values) for a in node.args), kwargs)


def parse_tensor(text: str) -> TensorSpec:
    """Read a tensor. Raises `HarnessError` for what is none."""
    try:
        found = _value(ast.parse(text.strip(), mode="eval").body)
    except SyntaxError:
        found = None
    if not isinstance(found, TensorSpec):
        raise HarnessError(f"not a tensor: {text!r}")
    return found


def _value(node: ast.expr, values: Collection[str] = ()) -> Any:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand)
        case ast.BinOp(op=ast.Add(), left=left, right=ast.Constant(value=complex() as imaginary)):
            return _value(left) + imaginary
        case ast.BinOp(op=ast.Sub(), left=left, right=ast.Constant(value=complex() as imaginary)):
            return _value(left) - imaginary
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [_value(item, values) for item in items]
        case ast.Name(id=name) if name in values:
            return Ref(name)
        case ast.Subscript(value=ast.Name(id=name), slice=ast.Constant(value=int() as index)) if name in values:
            return Ref(name, index)
        case ast.Name(id=name) if name in FLOATS:
            return FLOATS[name]
        case ast.Name(id=name) if name in DTYPES or name in NAMES:
            return Name(name)
        case ast.Call(func=ast.Name(id=dtype), args=args, keywords=keywords) if dtype in DTYPES:
            options: dict[str, Any] = {str(k.arg): _value(k.value) for k in keywords}
            unknown = options.keys() - {"low", "high", "values", "layout", "constant"}
            if unknown:
                raise HarnessError(f"a tensor has no option {', '.join(unknown)}: {ast.unparse(node)}")
            given = [_value(a) for a in args]
            if len(given) == 1 and isinstance(given[0], list):
                return TensorSpec(dtype, _shape_of(given[0]), data=_frozen(given[0]), **options)
            if not all(isinstance(size, int) and size >= 0 for size in given):
                raise HarnessError(f"not a shape: {ast.unparse(node)}")
            return TensorSpec(dtype, tuple(given), **options)
    raise HarnessError(f"not an argument: {ast.unparse(node)}")


def _frozen(data: Any) -> Any:
    return tuple(_frozen(d) for d in data) if isinstance(data, list) else data


def _shape_of(data: Any) -> tuple[int, ...]:
    return (len(data), *(_shape_of(data[0]) if data else ())) if isinstance(data, list) else ()


def read_calls(text: str) -> list[Call]:
    """One call a line; empty lines and lines that begin with `#` are passed over."""
    return [parse(line) for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
