"""Floating-point operations of a node, as `torch.utils.flop_counter` counts them: by its formulas, for the sizes that
the graph was traced with.

An operator that torch composes of others (`aten.linear`, `aten.scaled_dot_product_attention`) is run on tensors without
data, and what it calls is counted. What has no formula and is composed of nothing has none, as there.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch.utils._pytree import tree_map
from torch.utils.flop_counter import FlopCounterMode, flop_registry

_COMPOSED = torch._C.DispatchKey.CompositeImplicitAutograd
#: Operators that torch has no formula for, and the one whose formula is theirs.
_AS = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: torch.ops.aten._scaled_dot_product_flash_attention,
}


def overload_of(target: Any) -> Any:
    """torch's overload behind one of the edge dialect. An `OpOverload` has an `_op` too, which is another thing."""
    return target if isinstance(target, torch._ops.OpOverload) else getattr(target, "_op", target)


class _Unknown(Exception):
    """A size of the graph is known at run time only, or an operator does not run without data."""


def flops_of(nodes: Iterable[torch.fx.Node]) -> int | None:
    """The sum over nodes, None where one hangs on a size that is known at run time only, or on data."""
    total = 0
    for node in nodes:
        try:
            total += _flops(node)
        except _Unknown:
            return None
    return total


def _flops(node: torch.fx.Node) -> int:
    overload = overload_of(node.target)
    if node.op != "call_function" or not isinstance(overload, torch._ops.OpOverload):
        return 0
    packet = overload.overloadpacket
    formula = flop_registry.get(_AS.get(packet, packet))
    if formula is not None:
        args, kwargs = tree_map(_traced, (node.args, dict(node.kwargs)), is_leaf=_is_node)
        return int(formula(*args, **kwargs, out_val=tree_map(_without_data, node.meta.get("val"))))
    if not overload.has_kernel_for_dispatch_key(_COMPOSED):
        return 0
    args, kwargs = tree_map(_traced, (node.args, dict(node.kwargs)), is_leaf=_is_node)
    try:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            overload(*args, **kwargs)
    except (NotImplementedError, RuntimeError) as error:
        raise _Unknown from error
    return int(counter.get_total_flops())


def _is_node(value: Any) -> bool:
    return isinstance(value, torch.fx.Node)


def _traced(argument: Any) -> Any:
    """What an argument of a node stands for: tensors without their data, and no other device than theirs."""
    if isinstance(argument, torch.device):
        return torch.device("meta")
    return tree_map(_without_data, argument.meta.get("val")) if _is_node(argument) else argument


def _without_data(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return torch.empty([_size(s) for s in value.shape], dtype=value.dtype, device="meta")
    return _size(value) if isinstance(value, torch.SymInt) else value


def _size(size: int | torch.SymInt) -> int:
    """A size, of a dynamic dimension the one of the example."""
    if isinstance(size, int):
        return size
    hint = size.node.hint if size.node.has_hint() else None
    if hint is None:
        raise _Unknown
    return int(hint)
