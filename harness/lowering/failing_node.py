"""Which node of a graph lowering stopped at, read from the frames of its exception."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from harness.lowering.graph import overload_name

#: The function that has the edge program of the partition which is converted, with its local's name.
_CONVERTING = ("_convert_to_mlmodel", "edge_program")
#: Functions of coremltools that work at one node of it, and the name of the local that has it: reading, converting.
_WORKING_AT = {"from_exir_node": "node", "convert_single_node": "node"}
_CONTEXT = "context"
#: Where ExecuTorch describes the value of each node: the file, and its local.
_DESCRIBING = ("executorch/exir/passes/spec_prop_pass.py", "node")


@dataclass(frozen=True)
class FailingNode:
    """`op` is the overload, empty where it is the user's `input` of that name.

    `dtype_changed` are the overloads behind the operands whose results are of another kind of dtype in the program
    made so far than in the graph: floating, integer, bool or complex.
    """

    op: str = ""
    input: str = ""
    dtype_changed: tuple[str, ...] = ()


def failing_node(error: BaseException) -> FailingNode | None:
    """None where no node can be told: an exception of a pass, of the partitioner, or of what a partition takes."""
    graph = None
    found: FailingNode | None = None
    for frame, _ in traceback.walk_tb(error.__traceback__):
        name, local = frame.f_code.co_name, frame.f_locals
        if name == _CONVERTING[0] and _CONVERTING[1] in local:
            graph = local[_CONVERTING[1]].graph
        elif name in _WORKING_AT and graph is not None:
            found = _converted(graph, local.get(_WORKING_AT[name]), local.get(_CONTEXT)) or found
        elif frame.f_code.co_filename.endswith(_DESCRIBING[0]) and isinstance(local.get(_DESCRIBING[1]), torch.fx.Node):
            found = _described(local[_DESCRIBING[1]]) or found
    return found


def _converted(graph: torch.fx.Graph, worked_at: Any, context: Any) -> FailingNode | None:
    """The operator that a node of the converter's stands for; of an element of a result, the one that gave it."""
    name = getattr(worked_at, "name", None)
    node = next((node for node in graph.nodes if node.name == name), None)
    if node is not None and overload_name(node.target).endswith(".getitem"):
        node = next(iter(node.all_input_nodes), None)
    if node is None or node.op != "call_function":
        return None
    return FailingNode(overload_name(node.target), dtype_changed=_dtype_changed(node, context))


def _described(node: torch.fx.Node) -> FailingNode | None:
    """An input, or of a delegate the operator inside that gives the result with a stride of 0."""
    if node.op == "placeholder":
        return FailingNode(input=node.name)
    if getattr(node.target, "__name__", "") != "executorch_call_delegate":
        return FailingNode(overload_name(node.target)) if node.op == "call_function" else None
    owner, module = node.graph.owning_module, node.args[0]
    if owner is None or not isinstance(module, torch.fx.Node):
        return None
    inside = getattr(owner, str(module.target)).original_module.graph.output_node().args[0]
    for value, result in zip(node.meta["val"], inside, strict=False):
        if isinstance(value, torch.Tensor) and 0 in value.stride() and isinstance(result, torch.fx.Node):
            taken = overload_name(result.target).endswith(".getitem")
            return FailingNode(overload_name((result.all_input_nodes[0] if taken else result).target))
    return None


def _dtype_changed(node: torch.fx.Node, context: Any) -> tuple[str, ...]:
    """Of each operand, the operator farthest back from which on the dtype is another one."""
    found = []
    for operand in node.all_input_nodes:
        origin, at = None, operand if _differs(operand, context) else None
        while at is not None:
            origin, at = at, next((one for one in at.all_input_nodes if _differs(one, context)), None)
        if origin is not None and origin.op == "call_function":
            found.append(overload_name(origin.target))
    return tuple(dict.fromkeys(found))


def _differs(node: torch.fx.Node, context: Mapping[str, Any] | None) -> bool:
    value = node.meta.get("val")
    if context is None or not isinstance(value, torch.Tensor) or node.name not in context:
        return False
    made = getattr(context[node.name], "dtype", None)
    return made is not None and _kind_of_mil(made) not in ("", _kind(value.dtype))


def _kind(dtype: torch.dtype) -> str:
    if dtype is torch.bool:
        return "bool"
    return "float" if dtype.is_floating_point else "complex" if dtype.is_complex else "int"


def _kind_of_mil(dtype: Any) -> str:
    """The same of a type of coremltools; empty where it has none of them."""
    from coremltools.converters.mil.mil import types

    for kind, is_one in (("bool", types.is_bool), ("float", types.is_float), ("int", types.is_int)):
        if is_one(dtype):
            return kind
    return "complex" if types.is_complex(dtype) else ""
