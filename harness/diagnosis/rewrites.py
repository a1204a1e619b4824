"""Rewrites of a module that a user could make by hand, made here to see whether they help.

Each gives the same case changed, or None where it has nothing to change. `harness.evidence.remedy.REWRITES` says what
its author has to write.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch.utils._pytree import tree_leaves, tree_map

from harness.cases.case import Arguments, Built
from harness.evidence.remedy import REWRITES
from harness.lowering.graph import overload_name

#: Changes a node in place; whether it did.
Edit = Callable[[torch.fx.Node], bool]


def rewritten(name: str, built: Built, operator: str) -> Built | None:
    """The case with the rewrite `name` (of `REWRITES`), which is about `operator` where it is about one. Raises what
    `torch.export` raises."""
    assert name in REWRITES
    return _TABLE[name](built, operator)


def keeps_results(before: Built, after: Built) -> bool:
    """Whether a rewritten case gives what the case gave, but for dtypes and rounding: integers made floats, say, are
    divided another way."""
    with torch.no_grad():
        results = [
            [t for t in tree_leaves(b.module(*b.inputs, **b.kwargs)) if isinstance(t, torch.Tensor)]
            for b in (before, after)
        ]
    half = any(t.dtype in (torch.float16, torch.bfloat16) for t in results[0])
    rtol, atol = (2e-2, 1e-3) if half else (1e-4, 1e-6)
    return [t.shape for t in results[0]] == [t.shape for t in results[1]] and all(
        torch.allclose(_wide(x), _wide(y), rtol=rtol, atol=atol, equal_nan=True) for x, y in zip(*results, strict=True)
    )


def _wide(t: torch.Tensor) -> torch.Tensor:
    return t.detach().to(torch.complex128 if t.is_complex() else torch.float64)


def _contiguous_inputs(built: Built, _operator: str) -> Built | None:
    def dense(value: Any) -> Any:
        # `contiguous` leaves an expanded dimension of size 1 as it is.
        return value.clone(memory_format=torch.contiguous_format) if isinstance(value, torch.Tensor) else value

    def is_dense(value: Any) -> bool:
        return not isinstance(value, torch.Tensor) or value.stride() == torch.empty(value.shape).stride()

    if built.program is not None or all(map(is_dense, built.leaves)):
        return None
    calls = tuple(Arguments(tree_map(dense, c.inputs), tree_map(dense, dict(c.kwargs))) for c in built.calls)
    return replace(built, inputs=tree_map(dense, built.inputs), kwargs=tree_map(dense, dict(built.kwargs)), calls=calls)


def _explicit_stride(built: Built, operator: str) -> Built | None:
    def edit(node: torch.fx.Node) -> bool:
        names = [argument.name for argument in node.target._schema.arguments]  # type: ignore[union-attr]
        if names[1:3] != ["kernel_size", "stride"] or len(node.args) > 2 or "stride" in node.kwargs:
            return False
        node.args = (*node.args, node.args[1])
        return True

    return _edited(built, operator, edit)


def _float_inputs(built: Built, operator: str) -> Built | None:
    def is_integer(dtype: torch.dtype) -> bool:
        return not dtype.is_floating_point and not dtype.is_complex

    return _cast_inputs(built, operator, is_integer, torch.float32)


def _int32_inputs(built: Built, operator: str) -> Built | None:
    others = (torch.int8, torch.uint8, torch.int16, torch.int64)
    return _cast_inputs(built, operator, others.__contains__, torch.int32)


def _cast_inputs(built: Built, operator: str, which: Callable[[torch.dtype], bool], dtype: torch.dtype) -> Built | None:
    def edit(node: torch.fx.Node) -> bool:
        changed = False
        for source in node.all_input_nodes:
            value = source.meta.get("val")
            if isinstance(value, torch.Tensor) and which(value.dtype):
                with node.graph.inserting_before(node):
                    cast = node.graph.call_function(torch.ops.aten.to.dtype, (source, dtype))
                node.replace_input_with(source, cast)
                changed = True
        return changed

    return _edited(built, operator, edit)


def _run_decompositions(built: Built, _operator: str) -> Built | None:
    program = _exported(built)
    decomposed = program.run_decompositions()
    before, after = ([str(n.target) for n in p.graph.nodes] for p in (program, decomposed))
    if before == after:
        return None
    return replace(built, module=decomposed.module(), program=decomposed, dynamic_shapes=None)


_TABLE: dict[str, Callable[[Built, str], Built | None]] = {
    "contiguous_inputs": _contiguous_inputs,
    "explicit_stride": _explicit_stride,
    "run_decompositions": _run_decompositions,
    "float_inputs": _float_inputs,
    "int32_inputs": _int32_inputs,
}


def _exported(built: Built) -> torch.export.ExportedProgram:
    if built.program is not None:
        return built.program
    shapes: Any = built.dynamic_shapes
    return torch.export.export(built.module, built.inputs, dict(built.kwargs), dynamic_shapes=shapes)


def _edited(built: Built, operator: str, edit: Edit) -> Built | None:
    """The case with each call of the operator in its exported graph edited."""
    program = _exported(built)
    values = {node.name: node.meta.get("val") for node in program.graph.nodes}
    module = program.module()
    calls = [n for n in module.graph.nodes if n.op == "call_function" and overload_name(n.target) == operator]
    for node in calls:  # `module` leaves out what is known of the values
        for source in node.all_input_nodes:
            source.meta.setdefault("val", values.get(source.name))
    if not any([edit(node) for node in calls]):  # noqa: C419  (each is edited)
        return None
    module.recompile()
    return replace(built, module=module, program=None)
