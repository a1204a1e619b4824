"""Cases of what people write in `forward`: functional calls, operators of Python, indexing, a line each.

The table is `functional.txt`; its head says how a line is read. A case's module has that line in its `forward`, so that
arguments are left out where people leave them out, numbers are Python's, and weights are parameters.
"""

from __future__ import annotations

import ast
import functools
import textwrap
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.cases.calls import TensorSpec, parse
from harness.cases.case import Built, Case, CaseFault
from harness.cases.drawing import draw
from harness.evidence.ids import part_of_id
from harness.evidence.vocabulary import HarnessError, Kind, Level

SUITE = "modules"
PATH = Path(__file__).with_name("functional.txt")
#: Run at level `smoke` as well, one of each kind.
SMOKE = (
    "F.conv2d(x, w2, bias)",
    "F.linear(tokens, weight, shift)",
    "F.elu(x, alpha=0.5)",
    "F.layer_norm(tokens, (16,), scale16, shift16)",
    "F.scaled_dot_product_attention(q, k, v, is_causal=True)",
    "2 - x",
    "x.mean((2, 3))",
    "a[:, 1:3]",
)
#: Methods of a tensor that Python's operators are.
_OPERATORS: dict[type[ast.AST], str] = {
    ast.Add: "add",
    ast.Sub: "sub",
    ast.Mult: "mul",
    ast.Div: "truediv",
    ast.FloorDiv: "floordiv",
    ast.Mod: "mod",
    ast.Pow: "pow",
    ast.MatMult: "matmul",
    ast.LShift: "lshift",
    ast.RShift: "rshift",
    ast.BitAnd: "and",
    ast.BitOr: "or",
    ast.BitXor: "xor",
    ast.USub: "neg",
    ast.UAdd: "pos",
    ast.Invert: "invert",
    ast.Gt: "gt",
    ast.GtE: "ge",
    ast.Lt: "lt",
    ast.LtE: "le",
    ast.Eq: "eq",
    ast.NotEq: "ne",
}
_TENSOR = "torch.Tensor"
_FUNCTIONAL = "torch.nn.functional"


@dataclass(frozen=True)
class Written:
    """A line of the table. `api` is what it is about, the function or method it calls last: `torch.nn.functional.elu`,
    `torch.Tensor.mean`, `torch.Tensor.__rsub__`. `names` are the tensors it uses and what they are, in the order in
    which it does. `level` is the lowest at which it runs."""

    text: str
    api: str
    names: tuple[tuple[str, TensorSpec], ...]
    level: Level

    @property
    def id(self) -> str:
        return f"{SUITE}/functional/{self.dtype}/{part_of_id(self.text, 'matmul')}"

    @property
    def dtype(self) -> str:
        """That of the first tensor."""
        return self.names[0][1].dtype

    @property
    def inputs(self) -> list[str]:
        return [name for name, spec in self.names if not spec.constant]

    @property
    def constants(self) -> list[str]:
        return [name for name, spec in self.names if spec.constant]

    @property
    def source(self) -> str:
        """Python that makes the module as `model`."""
        *before, result = self.text.split("; ")
        held = [_held(name, spec) for name, spec in self.names if spec.constant]
        forward = [*(f"{name} = self.{name}" for name in self.constants), *before, f"return {result}"]
        methods = [_method("__init__", [], ["super().__init__()", *held])] if held else []
        methods.append(_method("forward", self.inputs, forward))
        body = textwrap.indent("\n\n".join(methods), "    ")
        return f"class Model(torch.nn.Module):\n{body}\n\n\nmodel = Model()\n"


def _method(name: str, parameters: list[str], lines: list[str]) -> str:
    return f"def {name}({', '.join(['self', *parameters])}):\n" + textwrap.indent("\n".join(lines), "    ")


def _held(name: str, spec: TensorSpec) -> str:
    """The statement that gives the module a parameter, a buffer where it is not floating."""
    empty = f"torch.empty({list(spec.shape)}, dtype=torch.{spec.dtype})"
    if spec.is_floating:
        return f"self.{name} = torch.nn.Parameter({empty}, requires_grad=False)"
    return f'self.register_buffer("{name}", {empty})'


@functools.cache
def table() -> tuple[Written, ...]:
    """The lines of `functional.txt`."""
    return tuple(read(PATH.read_text(encoding="utf-8")))


def read(text: str) -> Iterator[Written]:
    """Lines `name = tensor` say what names are; every other one is a case, of level `full` where a comment behind it
    says so. Raises `HarnessError` for a line of neither kind, for one without a tensor, and for one there already."""
    specs: dict[str, TensorSpec] = {}
    seen = set()
    for whole in text.splitlines():
        line, _, comment = whole.partition("  # ")
        if not line.strip() or line.startswith("#"):
            continue
        try:
            body = ast.parse(line).body
        except SyntaxError as error:
            raise HarnessError(f"{PATH.name}: {line}: {error.msg}") from None
        if len(body) == 1 and isinstance(body[0], ast.Assign):
            name, _, spec = line.partition(" = ")
            (specs[name],) = parse(f"tensors.of({spec})").tensors()
            continue
        found = [node.id for part in body for node in ast.walk(part) if isinstance(node, ast.Name)]
        used = [name for name in dict.fromkeys(sorted(found, key=line.find)) if name in specs]
        if not used:
            raise HarnessError(f"{PATH.name}: {line}: uses no tensor")
        if line in seen:
            raise HarnessError(f"{PATH.name}: {line}: is there twice")
        seen.add(line)
        level = Level.SMOKE if line in SMOKE else Level(comment or Level.STANDARD)
        yield Written(line, _called(body), tuple((name, specs[name]) for name in used), level)


def _called(body: list[ast.stmt]) -> str:
    match body[-1]:
        case ast.Expr(value=ast.Name()) if len(body) > 1:
            return _called(body[:-1])
        case ast.Expr(value=value) | ast.Assign(targets=[ast.Name()], value=value):
            return _called_by(value)
        case ast.Assign():
            return f"{_TENSOR}.__setitem__"
        case ast.AugAssign(op=operator):
            return f"{_TENSOR}.__i{_OPERATORS[type(operator)]}__"
    raise HarnessError(f"{PATH.name}: {ast.unparse(body[-1])}: what does it call?")


def _called_by(node: ast.expr) -> str:
    match node:
        case ast.Call(func=ast.Name(id=name)):
            return f"{_TENSOR}.__{name}__"
        case ast.Call(func=ast.Attribute(value=ast.Name(id="F"), attr=name)):
            return f"{_FUNCTIONAL}.{name}"
        case ast.Call(func=ast.Attribute() as function) if ast.unparse(function).startswith("torch."):
            return ast.unparse(function)
        case ast.Call(func=ast.Attribute(attr=name)):
            return f"{_TENSOR}.{name}"
        case ast.Attribute(value=ast.Call() as call, attr="values" | "indices"):
            return _called_by(call)
        case ast.Attribute(attr=name):
            return f"{_TENSOR}.{name}"
        case ast.Subscript(value=ast.Call() as call):
            return _called_by(call)
        case ast.Subscript():
            return f"{_TENSOR}.__getitem__"
        case ast.BinOp(left=left, op=operator):
            reflected = "r" * isinstance(left, (ast.Constant, ast.UnaryOp)) * (not _uses_names(left))
            return f"{_TENSOR}.__{reflected}{_OPERATORS[type(operator)]}__"
        case ast.UnaryOp(op=operator):
            return f"{_TENSOR}.__{_OPERATORS[type(operator)]}__"
        case ast.Compare(ops=[operator]):
            return f"{_TENSOR}.__{_OPERATORS[type(operator)]}__"
    raise HarnessError(f"{PATH.name}: {ast.unparse(node)}: what does it call?")


def _uses_names(node: ast.expr) -> bool:
    return any(isinstance(part, ast.Name) for part in ast.walk(node))


@functools.cache
def cases() -> tuple[Case, ...]:
    """A case a line. Makes no tensors."""
    return tuple(
        Case(
            id=one.id,
            kind=Kind.MODULE,
            op=one.api,
            api=one.api,
            dtype=one.dtype,
            origin="functional",
            call=one.text,
            level=one.level,
            build=functools.partial(build, one),
        )
        for one in table()
    )


def build(written: Written) -> Built:
    """The line in the `forward` of a module, and its inputs. Raises `CaseFault` for a tensor that cannot be drawn."""
    import torch

    seed = zlib.crc32(written.text.encode())
    generator = torch.Generator().manual_seed(seed)
    try:
        drawn = {name: draw(spec, generator) for name, spec in written.names}
    except HarnessError as error:
        raise CaseFault(str(error)) from None
    namespace: dict[str, Any] = {"torch": torch, "F": torch.nn.functional}
    exec(compile(written.source, f"<{written.text}>", "exec"), namespace)
    model = namespace["model"].eval()
    model.load_state_dict({name: drawn[name] for name in written.constants})
    return Built(model, tuple(drawn[name] for name in written.inputs), seed, source=written.source)
