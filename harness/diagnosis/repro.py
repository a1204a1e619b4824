"""A script that shows a check and needs no harness.

It imports torch, executorch and coremltools only, and is ready to be pasted into an upstream issue: the module as its
author wrote it where the case knows that, else its exported graph, the inputs in full, the lowering by the public path,
and on macOS the prediction.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.evidence.recipe import Recipe
from harness.evidence.record import Record

if TYPE_CHECKING:
    import torch

    from harness.cases.case import Built

#: Tensors up to this many elements are written out; larger ones as compressed bytes.
READABLE = 64
#: Modules that register operators of other libraries, by the namespace in which a graph names them.
LIBRARIES = {
    "quant": "torchao.prototype.quantization.codebook_coreml",
    "quantized_decomposed": "torch.ao.quantization.fx._decomposed",
    "torchao": "torchao.quantization",
}
#: A script beyond this would not be pasted anywhere: whole models are built from their own code.
LARGEST = 2_000_000
_NO_SHAPES: dict[str, Any] = {"dims": [], "dynamic": [], "enumerated": {}}


def script(record: Record, built: Built, recipe: Recipe) -> str:
    """A stand-alone Python script that lowers the case and compares with eager."""
    import torch
    from jinja2 import Environment, StrictUndefined

    template = Environment(undefined=StrictUndefined, keep_trailing_newline=True, trim_blocks=True, lstrip_blocks=True)
    text = Path(__file__).with_name("repro.py.j2").read_text(encoding="utf-8")
    try:
        exported: Any = built.program or torch.export.export(
            built.module,
            built.inputs,
            dict(built.kwargs),
            dynamic_shapes=built.dynamic_shapes,  # type: ignore[arg-type]
        )
        parts = _module_of(exported)
    except Exception as error:  # not exportable: that is the finding, and the graph cannot be shown
        exported = None
        parts = {"forward": "", "constants": [], "why": f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"}
    if built.stored:
        parts = {"forward": "", "constants": [], "why": "its .pte is run as an older release made it"}
    if built.source and recipe.scheme is None:
        parts = {"forward": built.source.rstrip(), "constants": list(built.module.state_dict().items())}
    specs = {**recipe.compile_specs, **dict(built.partitioning.specs)}
    leaves = built.leaves
    size = sum(t.numel() for t in leaves if isinstance(t, torch.Tensor)) + sum(t.numel() for _, t in parts["constants"])
    if size > LARGEST:
        parts = {"forward": "", "constants": [], "why": f"{size} constants are too many for a script"}
    return template.from_string(text).render(
        check_id=record.check_id,
        api=record.api,
        outcome=str(record.outcome),
        phase=str(record.phase),
        message=_in_docstring(record.error.message if record.error else record.reason),
        forward=parts["forward"],
        written=bool(built.source) and parts["forward"] == built.source.rstrip(),
        libraries=[module for namespace, module in LIBRARIES.items() if f"torch.ops.{namespace}." in parts["forward"]],
        why=parts.get("why", ""),
        constants=[(name, literal(tensor)) for name, tensor in parts["constants"]],
        inputs=[literal(t) if isinstance(t, torch.Tensor) else repr(t) for t in leaves] if parts["forward"] else [],
        specs=[f"{name}={value}" for name, value in specs.items()],
        unchecked=recipe.unchecked or built.partitioning.unchecked,
        partitioning=built.partitioning,
        further={
            "calls": [_literals(one.leaves) for one in built.calls] if parts["forward"] else [],
            "refused": [_literals(one.leaves) for one in built.refused] if parts["forward"] else [],
        },
        **(_shapes_of(exported, built) if parts["forward"] and exported is not None else _NO_SHAPES),
    )


def _literals(leaves: Sequence[Any]) -> list[str]:
    import torch

    return [literal(leaf) if isinstance(leaf, torch.Tensor) else repr(leaf) for leaf in leaves]


def _shapes_of(exported: Any, built: Built) -> dict[str, Any]:
    """Dynamic dimensions by name, with their ranges as arguments of `Dim`, none where the case gives hints; for each
    input its dynamic ones, as code; and the enumerated shapes, by the names that the inputs have in the script."""
    import torch
    from torch.export.dynamic_shapes import _DimHint
    from torch.utils._pytree import tree_leaves

    hinted = any(isinstance(leaf, _DimHint) for leaf in tree_leaves(built.dynamic_shapes))
    dims: dict[str, str] = {}
    dynamic: list[str] = []
    names: dict[str, str] = {}
    users = set(exported.graph_signature.user_inputs)
    for node in (n for n in exported.graph.nodes if n.op == "placeholder" and n.name in users):
        names[node.name] = str(node.target)
        places = []
        value = node.meta.get("val")
        for number, size in enumerate(value.shape if isinstance(value, torch.Tensor) else ()):
            if isinstance(size, torch.SymInt):
                expression = size.node.expr
                for symbol in sorted(expression.free_symbols, key=str):
                    found = exported.range_constraints[symbol]
                    high = f", max={int(found.upper)}" if found.upper.is_Integer else ""
                    dims[str(symbol)] = f"min={int(found.lower)}{high}"
                hint = f"torch.export.Dim.AUTO({dims[str(expression)]})" if hinted and str(expression) in dims else ""
                places.append(f"{number}: {hint or expression}")
        dynamic.append("{" + ", ".join(places) + "}")
    enumerated = {names[name]: [list(s) for s in shapes] for name, shapes in built.partitioning.enumerated}
    named = [] if hinted else list(dims.items())
    return {"dims": named, "dynamic": dynamic if dims else [], "enumerated": enumerated}


def _in_docstring(text: str) -> str:
    """One line that a triple-quoted string may hold."""
    return " ".join(text.split())[:300].replace("\\", "\\\\").replace('"', '\\"')


def _module_of(exported: Any) -> dict[str, Any]:
    """The exported graph's code, its parameters and constants being buffers of the module."""
    graph = exported.graph_module.graph
    signature = exported.graph_signature
    lifted: dict[str, Any] = {}
    for spec in signature.input_specs:
        if spec.target is not None:
            state = exported.state_dict
            lifted[spec.arg.name] = state[spec.target] if spec.target in state else exported.constants[spec.target]
    users = [n.name for n in graph.nodes if n.op == "placeholder" and n.name not in lifted]
    lines = [line for line in exported.graph_module.code.splitlines() if line.strip()]
    start = next(i for i, line in enumerate(lines) if line.startswith("def forward"))
    head = [f"    def forward(self, {', '.join(users)}):"]
    head += [f"        {name} = self.{name}" for name in lifted]
    code = [f"    {line}".split(";  ")[0].rstrip() for line in lines[start + 1 :]]
    return {"forward": "\n".join(head + code), "constants": list(lifted.items())}


def literal(tensor: torch.Tensor) -> str:
    """An expression that makes the tensor again, bit by bit."""
    import torch

    dtype = str(tensor.dtype)
    value = tensor.detach().cpu().resolve_conj().resolve_neg().contiguous()
    if value.numel() <= READABLE and value.dtype in (
        torch.float32,
        torch.float64,
        torch.int64,
        torch.int32,
        torch.bool,
    ):
        text = repr(value.tolist()).replace("nan", "float('nan')").replace("inf", "float('inf')")
        return (
            f"torch.tensor({text}, dtype={dtype})"
            if value.numel()
            else f"torch.empty({tuple(value.shape)}, dtype={dtype})"
        )
    if not value.numel():
        return f"torch.empty({tuple(value.shape)}, dtype={dtype})"
    raw = value.reshape(-1).view(torch.uint8).numpy().tobytes()
    packed = base64.b85encode(zlib.compress(raw, 9)).decode()
    return f"unpack({packed!r}, {dtype}, {tuple(value.shape)})"
