"""What each node became, on operators as coremltools names them and handles as ExecuTorch stores them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from harness.lowering.debug_info import EdgeNode, MilOperation, Origin, operations_of, origins


def node(name: str, handle: int | None, op: str = "", *results: str) -> EdgeNode:
    return EdgeNode((name, *results), op or name, handle)


def mil(output: str, op_type: str = "mul", *more: str, at_boundary: bool = False) -> MilOperation:
    return MilOperation("main", (output, *more), op_type, at_boundary)


def became(found: list[Origin]) -> dict[str, tuple[list[str], list[str]]]:
    return {o.node.names[0]: ([m.outputs[0] for m in o.own], [m.outputs[0] for m in o.shared]) for o in found}


def test_one_node_becomes_several_operators_by_its_handle() -> None:
    nodes = [node("hardswish", 2), node("linear", 4)]
    operations = [mil("relu_0_cast_fp16", "relu"), mil("hardswish_cast_fp16"), mil("linear", "linear")]
    handles = {"relu_0_cast_fp16:relu": [2], "hardswish_cast_fp16:mul": [2], "linear:linear": [4]}
    assert became(origins(nodes, operations, handles)) == {
        "hardswish": (["relu_0_cast_fp16", "hardswish_cast_fp16"], []),
        "linear": (["linear"], []),
    }


def test_nodes_of_one_handle_are_told_apart_by_name() -> None:
    nodes = [node("exp", 1), node("sub", 1), node("sub_1", 1, "sub")]
    operations = [mil("exp_cast_fp16"), mil("sub_cast_fp16"), mil("sub_1")]
    handles = {f"{operation.outputs[0]}:mul": [1] for operation in operations}
    assert became(origins(nodes, operations, handles)) == {
        "exp": (["exp_cast_fp16"], []),
        "sub": (["sub_cast_fp16"], []),
        "sub_1": (["sub_1"], []),
    }


def test_what_may_be_of_several_nodes_is_nobody_s_own() -> None:
    nodes = [node("var", 1), node("sqrt", 1)]
    operations = [mil("reduce_mean_0", "reduce_mean"), mil("sqrt")]
    handles = {"reduce_mean_0:reduce_mean": [1], "sqrt:mul": [1]}
    assert became(origins(nodes, operations, handles)) == {
        "var": ([], ["reduce_mean_0"]),
        "sqrt": (["sqrt"], ["reduce_mean_0"]),
    }


def test_what_may_be_of_several_nodes_of_one_overload_is_theirs() -> None:
    nodes = [node("var", 1, "aten.var.dim"), node("var_1", 1, "aten.var.dim")]
    found = origins(nodes, [mil("reduce_mean_0")], {"reduce_mean_0:mul": [1]})
    assert became(found) == {"var": (["reduce_mean_0"], []), "var_1": (["reduce_mean_0"], [])}


def test_an_operator_of_two_handles_is_of_both_nodes() -> None:
    nodes = [node("matmul", 1), node("add", 2)]
    found = origins(nodes, [mil("add_cast_fp16", "linear")], {"add_cast_fp16:linear": [1, 2]})
    assert became(found) == {"matmul": (["add_cast_fp16"], []), "add": (["add_cast_fp16"], [])}


def test_a_name_and_a_handle_that_contradict_each_other_make_no_claim() -> None:
    nodes, operation = [node("exp", 1), node("log", 2), node("abs", 3)], mil("exp")
    found = origins(nodes, [operation], {"exp:mul": [2]})
    assert became(found) == {"exp": ([], []), "log": ([], []), "abs": ([], [])}
    assert [origin.contradicted for origin in found] == [[operation], [operation], []]


def test_a_cast_of_a_value_is_of_the_node_that_takes_it() -> None:
    cast = mil("ge_cast_fp16_to_fp16", "cast")
    assert became(origins([node("ge", 1), node("copy", 2)], [cast], {"ge_cast_fp16_to_fp16:cast": [2]})) == {
        "ge": ([], []),
        "copy": (["ge_cast_fp16_to_fp16"], []),
    }


def test_a_handle_is_of_the_operator_and_not_only_of_its_output() -> None:
    assert became(origins([node("exp", 1)], [mil("t_0", "read_state")], {"t_0:update_state": [1]})) == {"exp": ([], [])}


@pytest.mark.parametrize(
    "operation",
    [
        mil("split_cast_fp16_0", "split", "split_cast_fp16_1"),
        mil("split_0", "split", "split_1"),
        mil("getitem", "split", "getitem_1"),
    ],
)
def test_several_results_are_of_one_node(operation: MilOperation) -> None:
    nodes = [node("split", 1, "split", "getitem", "getitem_1"), node("other", 1)]
    assert became(origins(nodes, [operation], {})) == {"split": ([operation.outputs[0]], []), "other": ([], [])}


def test_a_number_is_taken_off_only_where_there_are_several_results() -> None:
    assert became(origins([node("add", 1)], [mil("add_1")], {})) == {"add": ([], [])}


def test_a_result_cast_to_its_feature_s_type_is_of_the_node() -> None:
    operations = [mil("gt__pre__output__fp32__cast", "greater"), mil("gt", "cast", at_boundary=True)]
    assert became(origins([node("gt", 1), node("other", 1)], operations, {}))["gt"][0] == [
        "gt__pre__output__fp32__cast",
        "gt",
    ]


def test_a_cast_of_an_input_is_of_no_node() -> None:
    cast = mil("x_to_fp16", "cast", at_boundary=True)
    assert became(origins([node("exp", 1)], [cast], {"x_to_fp16:cast": [1]})) == {"exp": ([], [])}


def test_constants_and_operators_without_result_are_of_no_node() -> None:
    operations = [mil("w", "constexpr_lut_to_dense"), MilOperation("main", (), "write_state")]
    handles = {"w:constexpr_lut_to_dense": [1], ":write_state": [1]}
    assert became(origins([node("w", 1)], operations, handles)) == {"w": ([], [])}


def named(*names: str) -> list[Any]:
    return [SimpleNamespace(name=name) for name in names]


def operation(op_type: str, output: str, source: str = "", *blocks: Any) -> Any:
    inputs = {"x": SimpleNamespace(arguments=named(source))} if source else {}
    return SimpleNamespace(type=op_type, outputs=named(*output.split()), inputs=inputs, blocks=list(blocks))


def test_operators_of_a_specification() -> None:
    inner = SimpleNamespace(operations=[operation("const", "c"), operation("exp", "e", "c")])
    block = SimpleNamespace(
        outputs=["out"],
        operations=[
            operation("cast", "x16", "x"),
            operation("cast", "half", "x16"),
            operation("exp", "y", "x"),
            operation("cond", "z", "y", inner),
            operation("cast", "out", "z"),
        ],
    )
    function = SimpleNamespace(opset="CoreML8", inputs=named("x"), block_specializations={"CoreML8": block})
    spec = SimpleNamespace(mlProgram=SimpleNamespace(functions={"prefill": function}))
    found = list(operations_of(spec))
    assert [(o.key, o.type, o.at_boundary) for o in found] == [
        (("prefill", "x16"), "cast", True),
        (("prefill", "half"), "cast", False),
        (("prefill", "y"), "exp", False),
        (("prefill", "z"), "cond", False),
        (("prefill", "e"), "exp", False),
        (("prefill", "out"), "cast", True),
    ]
