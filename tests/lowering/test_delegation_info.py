"""ExecuTorch's own reports tell the same of a program as ours: `get_delegation_info`, and the graph in an ETRecord."""

from __future__ import annotations

import copy
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.cases import find
from harness.evidence.recipe import Recipe
from harness.lowering.graph import overload_name
from harness.lowering.lower import convert, export

PROGRAMS = [
    "options/lower_full_graph/float32/true",
    "options/skip_ops_for_coreml_delegation/float32/linear",
    "options/take_over_constant_data/float32/false-with-fallback",
    "models/llama/float32/seed-0",
]


def _outside(graph: torch.fx.Graph) -> Counter[str]:
    """Operators of a graph beside its delegates."""
    names = (overload_name(node.target) for node in graph.nodes if node.op == "call_function")
    return Counter(name for name in names if name.startswith(("aten", "dim_order_ops")))


@pytest.mark.parametrize("case_id", PROGRAMS)
def test_both_tell_what_is_delegated(case_id: str, tmp_path: Path) -> None:
    from executorch.devtools import generate_etrecord, parse_etrecord
    from executorch.devtools.backend_debug import get_delegation_info

    found = convert(export(find.find(case_id).build()), Recipe.parse("fp16-ios18"))
    assert found.failure is None
    plan: Any = found.plan
    manager: Any = found.manager
    graph_module = manager.exported_program().graph_module

    info = get_delegation_info(graph_module)
    assert info.num_delegated_subgraphs == len(plan.delegates)
    assert info.num_delegated_nodes >= sum(plan.delegated_ops.values()) > 0 or not plan.delegates
    by_operator = info.delegation_by_operator
    inside = {name: row.delegated for name, row in by_operator.items() if row.delegated and name != "getitem"}
    outside = {name: row.non_delegated for name, row in by_operator.items() if row.non_delegated and name != "getitem"}
    assert sum(inside.values()) == sum(plan.delegated_ops.values())
    assert sum(outside.values()) == sum(plan.fallback_ops.values())
    assert set(inside) == {_in_words(op) for op in plan.delegated_ops}

    kept = _outside(graph_module.graph)
    edge = copy.deepcopy(manager)  # emitting rewrites its graph
    executorch = manager.to_executorch()
    path = tmp_path / "etrecord.bin"
    generate_etrecord(str(path), edge, executorch)
    read = parse_etrecord(str(path)).edge_dialect_program
    assert _outside(read.graph_module.graph) == kept == Counter(plan.fallback_ops)


def _in_words(op: str) -> str:
    """`aten.add.Tensor` as the report has it: `aten_add_tensor`."""
    return op.lower().replace(".", "_")
