"""`Place`: the operator that something is put down to, and where in the user's source it stands.

What a lowering raised is put down to the node that was being worked on: its traceback's frames hold it. Which node of
the exported graph that came from, and with it the line of the user's, is told by the graphs' own metadata.
"""

from __future__ import annotations

import linecache
import re
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

import torch

from harness.lowering.debug_info import CAST_SUFFIX
from harness.lowering.flops import overload_of
from harness.lowering.graph import overload_name
from harness.lowering.operands import dtype_changed

#: Names under which torch, ExecuTorch and coremltools hold the node, or the operator, that they work on.
_NODES = ("node", "n")
_OPERATORS = ("op",)
#: And coremltools the values it has made so far, by the names of their nodes.
_CONVERTED = "context"
#: Code that is nobody's model.
_INSTALLED = tuple(sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib"))
_HARNESS = str(Path(__file__).resolve().parents[1])
_FRAME = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+), in (?P<function>\S+)\n\s*(?P<code>[^\n]*)')


@dataclass(frozen=True)
class Place:
    """`operator` is an ATen overload (`aten.max_pool2d.default`), `origin` the node of the exported graph it came
    from; `source` the line of the user's, where it is known without that graph. Of a program's `input` there is its
    name alone. `dtype_changed` are the overloads that gave the operator a dtype of another kind than in the graph.
    What is not known is empty.
    """

    operator: str = ""
    origin: str = ""
    source: str = ""
    input: str = ""
    dtype_changed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.operator or self.source or self.input)


def place_of(error: BaseException) -> Place:
    """Where what a lowering raised comes from, by the innermost frame that tells."""
    program: torch.export.ExportedProgram | None = None
    place = Place()
    for frame in _frames(error.__traceback__):
        held = dict(frame.f_locals)
        program = next((v for v in held.values() if isinstance(v, torch.export.ExportedProgram)), program)
        if found := _in_hand(held, program):
            place = found
        elif not place:  # in a pass: a converter's own node says more than the operator that it makes
            place = _in_a_pass(held, program)
    return place


def place_of_export(error: BaseException) -> Place:
    """The line of the user's module on which exporting it ended."""
    source = ""
    for frame, number in _numbered(error.__traceback__):
        file = frame.f_code.co_filename
        if _is_users(file):
            source = _line(file, number, frame.f_code.co_name, linecache.getline(file, number))
    return Place(source=source)


def _numbered(trace: TracebackType | None) -> Iterator[tuple[FrameType, int]]:
    while trace is not None:
        yield trace.tb_frame, trace.tb_lineno
        trace = trace.tb_next


def _frames(trace: TracebackType | None) -> Iterator[FrameType]:
    return (frame for frame, _ in _numbered(trace))


def _in_hand(held: dict[str, Any], program: torch.export.ExportedProgram | None) -> Place | None:
    for name in _NODES:
        value = held.get(name)
        if isinstance(value, torch.fx.Node) and value.op == "placeholder":
            return Place(input=value.name)
        if (node := _node(value, program)) is not None:
            made: Any = held.get(_CONVERTED)
            changed = dtype_changed(node, made) if type(made).__name__ == "TranscriptionContext" else ()
            return Place(overload_name(node.target), origin(node), dtype_changed=changed)
    for name in _OPERATORS:
        if (target := _overload(held.get(name))) is not None:
            nodes = [node for node in (program.graph.nodes if program is not None else ()) if _is_of(node, target)]
            return Place(target, origin(nodes[0]) if len(nodes) == 1 else "")
    return None


def _in_a_pass(held: dict[str, Any], program: torch.export.ExportedProgram | None) -> Place:
    made = (_made_from(value, program) for value in held.values() if _is_mil_operation(value))
    node = next((node for node in made if node is not None), None)
    return Place(overload_name(node.target), origin(node)) if node is not None else Place()


def _node(value: Any, program: torch.export.ExportedProgram | None) -> torch.fx.Node | None:
    """A node that calls an operator: torch's own, or what coremltools made of one, which has its name."""
    if type(value).__name__ == "InternalTorchIRNode" and program is not None:
        value = next((node for node in program.graph.nodes if node.name == value.name), None)
    if not isinstance(value, torch.fx.Node) or value.op != "call_function":
        return None
    if getattr(value.target, "__name__", "") == "executorch_call_delegate":
        value = _expanded_inside(value)
        if value is None:
            return None
    if getattr(value.target, "__name__", "") == "getitem" and isinstance(value.args[0], torch.fx.Node):
        value = value.args[0]  # one of its results
    return value if _overload(value.target) else None


def _is_mil_operation(value: Any) -> bool:
    """Whether a pass of coremltools may have it in hand: an operator of a program, of whatever kind."""
    return type(value).__module__.startswith("coremltools.") and hasattr(value, "op_type") and hasattr(value, "outputs")


def _made_from(operation: Any, program: torch.export.ExportedProgram | None) -> torch.fx.Node | None:
    """The node that a MIL operator is named after, itself or by one of its results, whatever data type a pass gave
    them."""
    names = {str(operation.name), *(str(output.name) for output in operation.outputs or ())}
    names |= {CAST_SUFFIX.sub("", name) for name in names}
    nodes = program.graph.nodes if program is not None else ()
    return next((node for node in nodes if node.name in names and _node(node, program) is not None), None)


def _expanded_inside(call: torch.fx.Node) -> torch.fx.Node | None:
    """The node inside a delegate that gives a result with a stride of 0, which ExecuTorch does not describe."""
    owner, module = call.graph.owning_module, call.args[0]
    if owner is None or not isinstance(module, torch.fx.Node):
        return None
    inside = getattr(owner, str(module.target)).original_module.graph.output_node().args[0]
    for value, result in zip(call.meta["val"], inside, strict=False):
        if isinstance(value, torch.Tensor) and 0 in value.stride() and isinstance(result, torch.fx.Node):
            return result
    return None


def _overload(value: Any) -> str | None:
    """An overload of ATen or of the edge dialect by its name."""
    return overload_name(value) if isinstance(overload_of(value), torch._ops.OpOverload) else None


def _is_of(node: torch.fx.Node, target: str) -> bool:
    return node.op == "call_function" and _overload(node.target) == target


def origin(node: torch.fx.Node) -> str:
    """The node of the exported graph that one of a later graph was made from; itself where nothing tells."""
    source: Any = None
    sources = node.meta.get("from_node") or ()
    while sources:
        source, sources = sources[-1], sources[-1].from_node or ()
    return str(source.name) if source is not None else node.name


def source_line(programs: Iterable[torch.export.ExportedProgram], place: Place) -> str:
    """`mine.py:12, in forward: F.gelu(x)`: the innermost line that is not of an installed package; empty where nothing
    tells, as of a program that was read from a file without its sources.
    """
    if place.source or not place.origin:
        return place.source
    for program in programs:
        for node in program.graph.nodes:
            if node.name == place.origin:
                frames = [m for m in _FRAME.finditer(node.meta.get("stack_trace") or "") if _is_users(m["file"])]
                if frames:
                    file, number, function, code = frames[-1].group("file", "line", "function", "code")
                    return _line(file, int(number), function, code)
    return ""


def _is_users(file: str) -> bool:
    return not file.startswith((*_INSTALLED, _HARNESS, "<")) and "site-packages" not in file


def _line(file: str, number: int, function: str, code: str) -> str:
    where = f"{Path(file).name}:{number}, in {function}"
    return f"{where}: {code.strip()}" if code.strip() else where
