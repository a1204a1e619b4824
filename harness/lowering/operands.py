"""Operands of a node whose dtype in the program made so far is of another kind than in the graph: why a converter
refuses them is not to be looked for at the node itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from harness.lowering.graph import overload_name


def dtype_changed(node: torch.fx.Node, made: Mapping[str, Any]) -> tuple[str, ...]:
    """Of each operand, the overload farthest back from which on the dtype is of another kind: floating, integer, bool
    or complex. `made` are coremltools' values of the nodes converted so far, by their names.
    """
    found = []
    for operand in node.all_input_nodes:
        origin, at = None, operand if _differs(operand, made) else None
        while at is not None:
            origin, at = at, next((one for one in at.all_input_nodes if _differs(one, made)), None)
        if origin is not None and origin.op == "call_function":
            found.append(overload_name(origin.target))
    return tuple(dict.fromkeys(found))


def _differs(node: torch.fx.Node, made: Mapping[str, Any]) -> bool:
    value = node.meta.get("val")
    if not isinstance(value, torch.Tensor) or node.name not in made:
        return False
    dtype = getattr(made[node.name], "dtype", None)
    return dtype is not None and _kind_of_mil(dtype) not in ("", _kind(value.dtype))


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
