"""Which MIL operators each node of a delegate's edge program became.

Two things tell it. coremltools names the last operator of a translation after the node, and passes append to the name.
And the package's debug information has `debugSymbolToHandles`, "<first output>:<operator>" to debug handles; a handle
is that of one node of the exported graph, so that all the nodes which this was decomposed into share it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

#: What passes append to the name of a value that they give another data type.
CAST_SUFFIX = re.compile(r"(?:_cast_[a-z]+\d+|_to_(?:fp|u?int)\d+|_to_bool)+(_\d+)?$")
#: What they name a cast of such a value by.
_INSERTED_CAST = re.compile(r"_to_(?:fp\d+|u?int\d+|bool)(?:_\d+)?$")
#: And to that of a result which is cast to the type its feature declares, before it.
_BEFORE_OUTPUT_CAST = "__pre__output__"


@dataclass(frozen=True)
class EdgeNode:
    """A node of an edge program: its overload and debug handle.

    `names` are its own and, where it has several results, those of the nodes that take one of them.
    """

    names: tuple[str, ...]
    op: str
    handle: int | None


@dataclass(frozen=True)
class MilOperation:
    """An operator of the emitted program; constants are none.

    `at_boundary` marks a cast of the program's own input, or one that makes its output: it changes the type in which
    a value crosses into or out of Core ML.
    """

    function: str
    outputs: tuple[str, ...]
    type: str
    at_boundary: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """What it is found by in another description of the program; of no use where it has no output."""
        return self.function, self.outputs[0] if self.outputs else ""

    @property
    def is_weight(self) -> bool:
        """Whether it only unpacks a compressed constant."""
        return self.type.startswith("constexpr_")


@dataclass
class Origin:
    """A node and what it became.

    `shared` may be of this node or of another that it was decomposed together with. `contradicted` are operators that
    bear the name of one node and the handle of others, this one among them: whose they are cannot be told.
    """

    node: EdgeNode
    own: list[MilOperation] = field(default_factory=list)
    shared: list[MilOperation] = field(default_factory=list)
    contradicted: list[MilOperation] = field(default_factory=list)


def operations_of(spec: Any) -> Iterator[MilOperation]:
    """The operators of a model specification (protobuf), nested ones included."""
    for name, function in spec.mlProgram.functions.items():
        block = function.block_specializations[function.opset]
        inputs, outputs = {value.name for value in function.inputs}, set(block.outputs)
        for operation in _walk(block):
            made = tuple(value.name for value in operation.outputs)
            taken = {binding.name for argument in operation.inputs.values() for binding in argument.arguments}
            at_boundary = operation.type == "cast" and bool(taken & inputs or outputs & set(made))
            yield MilOperation(name, made, operation.type, at_boundary)


def _walk(block: Any) -> Iterator[Any]:
    for operation in block.operations:
        if operation.type != "const":
            yield operation
        for inner in operation.blocks:
            yield from _walk(inner)


def origins(
    nodes: Sequence[EdgeNode], operations: Sequence[MilOperation], handles: Mapping[str, Sequence[int]]
) -> list[Origin]:
    """What each node became.

    An operator belongs to the node it is named after and, for each debug handle of another node, to the nodes with
    that handle: as their own where all are of one overload, else shared. A cast at the boundary that is named after no
    node belongs to the program and to no node of it, as what has neither name nor handle.
    """
    result = [Origin(node) for node in nodes]
    named = {sanitised(name): number for number, node in enumerate(nodes) for name in node.names}
    by_handle: dict[int, set[int]] = {}
    for number, node in enumerate(nodes):
        if node.handle is not None:
            by_handle.setdefault(node.handle, set()).add(number)
    for operation in operations:
        if not operation.outputs or operation.is_weight:
            continue
        name = next((name for name in _possible_names(operation) if name in named), None)
        own = set() if name is None else {named[name]}
        if not own and operation.at_boundary:
            continue
        groups = [
            by_handle.get(handle, set()) for handle in handles.get(symbol(operation.outputs[0], operation.type), ())
        ]
        if own and groups and not any(group & own for group in groups):
            for number in own.union(*groups):
                result[number].contradicted.append(operation)
            continue
        shared: set[int] = set()
        for group in groups:
            if not group & own:
                (own if len({nodes[n].op for n in group}) == 1 else shared).update(group)
        for number in own:
            result[number].own.append(operation)
        for number in shared - own:
            result[number].shared.append(operation)
    return result


def _possible_names(operation: MilOperation) -> Iterator[str]:
    """Names that the node would have which an operator is named after, the likeliest first.

    A cast that a pass inserts is named after the value it takes (`<value>_to_fp16`), which another node gave.
    """
    for output in operation.outputs:
        name = output.partition(_BEFORE_OUTPUT_CAST)[0]
        if operation.type == "cast" and _INSERTED_CAST.search(name):
            continue
        yield name
        yield CAST_SUFFIX.sub("", name)
        if len(operation.outputs) > 1:  # numbered
            yield re.sub(r"_\d+$", "", name)


def symbol(output: str, op_type: str) -> str:
    """An operator's debug symbol, by its first output."""
    return f"{output}:{op_type}"


def sanitised(name: str) -> str:
    """As coremltools writes the names of values."""
    return re.sub(r"\W", "_", name, flags=re.ASCII)
