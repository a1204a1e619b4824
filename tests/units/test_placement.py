from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.lowering.debug_info import EdgeNode, MilOperation, Origin, origins
from harness.units import host, placement
from harness.units.placement import (
    OperatorUsage,
    Placement,
    Program,
    combine,
    read_plan,
    summarise,
    unmet_request,
    unversioned,
)

MAC = ("cpu", "gpu", "ane")


def usage(op: str, preferred: str | None, *supported: str) -> OperatorUsage:
    return OperatorUsage(op, preferred, frozenset(supported))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ios17.conv", "conv"),
        ("ios18.scaled_dot_product_attention", "scaled_dot_product_attention"),
        ("conv", "conv"),
        ("const", "const"),
        ("radios17.conv", "radios17.conv"),
    ],
)
def test_opset_prefix_is_stripped_and_nothing_else(name: str, expected: str) -> None:
    assert unversioned(name) == expected


def test_devices_are_listed_in_one_order() -> None:
    found = summarise([usage("conv", "ane", "ane", "cpu", "gpu")])
    assert found == {"conv": {"preferred": "ane", "supported": ["cpu", "gpu", "ane"]}}


def test_a_type_claims_only_what_all_its_operators_have() -> None:
    found = summarise([usage("mul", "ane", "cpu", "ane"), usage("mul", "cpu", "cpu", "gpu")])
    assert found == {"mul": {"preferred": "cpu", "supported": ["cpu"]}}


def test_unknown_stays_absent_and_takes_its_type_along() -> None:
    found = summarise([usage("mul", "ane", "cpu", "ane"), usage("mul", None), usage("add", "cpu", "cpu")])
    assert found == {"add": {"preferred": "cpu", "supported": ["cpu"]}}


def placed(*usages: OperatorUsage, aten: Sequence[OperatorUsage] = ()) -> Placement:
    return Placement(summarise(usages), summarise(aten))


def test_cost_is_the_sum_and_unknown_where_one_is() -> None:
    shares = [replace(usage("mul", "cpu", "cpu"), cost=0.1), replace(usage("mul", "cpu", "cpu"), cost=0.2)]
    assert summarise(shares)["mul"]["cost"] == 0.3
    assert "cost" not in summarise([*shares, usage("mul", "cpu", "cpu")])["mul"]


def test_ane_request_that_is_met_needs_no_note() -> None:
    assert unmet_request("cpu_and_ne", placed(usage("conv", "ane", "cpu", "ane")), MAC) is None


@pytest.mark.parametrize(
    ("placement", "named"),
    [
        (placed(usage("conv", "cpu", "cpu")), "conv (on cpu)"),
        (placed(usage("conv", "gpu", "cpu", "gpu", "ane")), "conv (on gpu, though supported)"),
        (placed(usage("conv", "ane", "ane"), usage("cast", "cpu", "cpu")), "cast (on cpu)"),
        (
            placed(usage("mul", "cpu", "cpu"), aten=[usage("aten.selu.default", "cpu", "cpu")]),
            "aten.selu.default (on cpu)",
        ),
        # Something else than what ATen operators became, and no cast.
        (
            placed(usage("squeeze", "cpu", "cpu"), usage("cast", "cpu", "cpu"), aten=[usage("aten.add.Tensor", "ane")]),
            "squeeze (on cpu)",
        ),
    ],
)
def test_ane_request_that_is_not_met_is_noted(placement: Placement, named: str) -> None:
    note = f"ANE requested, not placed there: {named}"
    assert unmet_request("cpu_and_ne", placement, MAC) == note
    assert unmet_request("all", placement, MAC) == note
    assert unmet_request("device:Test iPhone:cpu_and_ne", placement, MAC) == note
    assert unmet_request("all", placement, ["cpu", "gpu"]) is None
    assert unmet_request("cpu_and_gpu", placement, MAC) is None


def test_casts_at_the_boundary_of_what_is_on_the_ane_need_no_note() -> None:
    placement = placed(usage("cast", "cpu", "cpu"), aten=[usage("aten.add.Tensor", "ane", "cpu", "ane")])
    assert unmet_request("cpu_and_ne", placement, MAC) is None


def test_without_a_plan_nothing_is_said_about_the_ane() -> None:
    assert unmet_request("cpu_and_ne", Placement(unknown="no plan"), MAC) is None


def test_a_device_class_added_later_is_not_taken_for_a_known_one() -> None:
    class MLQuantumComputeDevice: ...

    assert placement.device_name(MLQuantumComputeDevice()) == "MLQuantumComputeDevice"
    found = summarise([usage("conv", "MLQuantumComputeDevice", "MLQuantumComputeDevice", "cpu")])
    assert found["conv"]["supported"] == ["MLQuantumComputeDevice", "cpu"]


# -- a plan, as coremltools gives it -------------------------------------------------------------------------------


class MLCPUComputeDevice: ...


class MLGPUComputeDevice: ...


class MLNeuralEngineComputeDevice: ...


CPU, GPU, ANE = MLCPUComputeDevice(), MLGPUComputeDevice(), MLNeuralEngineComputeDevice()


def answer(*devices: object) -> SimpleNamespace:
    return SimpleNamespace(preferred_compute_device=devices[-1], supported_compute_devices=list(devices))


def op(name: str, output: str, usage: Any = None, weight: Any = None, *blocks: Any) -> SimpleNamespace:
    outputs = [SimpleNamespace(name=output)] if output else []
    cost = weight if weight is None else SimpleNamespace(weight=weight)
    return SimpleNamespace(operator_name=name, outputs=outputs, blocks=list(blocks), usage=usage, cost=cost)


def block(*operations: Any) -> SimpleNamespace:
    return SimpleNamespace(operations=operations)


class Plan:
    def __init__(self, *operations: Any, function: str = "main") -> None:
        functions = {function: SimpleNamespace(block=block(*operations))}
        self.model_structure = SimpleNamespace(program=SimpleNamespace(functions=functions))

    def get_compute_device_usage_for_mlprogram_operation(self, operation: Any) -> Any:
        if isinstance(operation.usage, Exception):
            raise operation.usage
        return operation.usage

    def get_estimated_cost_for_mlprogram_operation(self, operation: Any) -> Any:
        return operation.cost


def test_nested_blocks_are_planned_and_constants_are_not() -> None:
    plan = Plan(op("const", "c"), op("ios17.cond", "y", answer(CPU), None, block(op("ios17.exp", "e", answer(CPU)))))
    assert set(read_plan(plan, None, Program()).ops) == {"cond", "exp"}


#: conv2d -> hardswish, which became three operators -> linear, with a cast at either end.
OPERATIONS = tuple(
    MilOperation("main", (output,), op_type, op_type == "cast")
    for output, op_type in (
        ("x_to_fp16", "cast"),
        ("conv2d_cast_fp16", "conv"),
        ("relu_0", "thresholded_relu"),
        ("hard_0", "sigmoid_hard"),
        ("hardswish", "mul"),
        ("linear_cast_fp16", "linear"),
        ("y", "cast"),
    )
)
NODES = (
    EdgeNode(("conv2d",), "aten.conv2d.default", 1),
    EdgeNode(("hardswish",), "aten.hardswish.default", 2),
    EdgeNode(("linear",), "aten.linear.default", 3),
)
HANDLES = {
    "x_to_fp16:cast": [1],
    "conv2d_cast_fp16:conv": [1],
    "relu_0:thresholded_relu": [2],
    "hard_0:sigmoid_hard": [2],
    "hardswish:mul": [2],
    "linear_cast_fp16:linear": [3],
    "y:cast": [3],
}
PROGRAM = Program(OPERATIONS, NODES, HANDLES)


def planned(**instead: Any) -> list[Any]:
    """The plan's operations for `PROGRAM`: everything on the ANE but the casts; `instead` answers by first output."""
    operations = []
    for operation in OPERATIONS:
        usual = answer(CPU) if operation.type == "cast" else answer(CPU, ANE)
        operations.append(
            op(f"ios18.{operation.type}", operation.outputs[0], instead.get(operation.outputs[0], usual), 0.125)
        )
    return operations


ON_ANE = {"preferred": "ane", "supported": ["cpu", "ane"], "cost": 0.125}


def test_a_plan_is_joined_to_the_nodes_its_operators_came_from() -> None:
    found = read_plan(Plan(*planned()), None, PROGRAM)
    assert found.aten == {
        "aten.conv2d.default": ON_ANE,
        "aten.hardswish.default": {**ON_ANE, "cost": 0.375},
        "aten.linear.default": ON_ANE,
    }
    assert found.ops["cast"] == {"preferred": "cpu", "supported": ["cpu"], "cost": 0.25}
    assert found.notes == []


def test_one_operator_elsewhere_takes_its_node_along_and_no_other() -> None:
    found = read_plan(Plan(*planned(hard_0=answer(CPU))), None, PROGRAM).aten
    assert found["aten.hardswish.default"] == {"preferred": "cpu", "supported": ["cpu"], "cost": 0.375}
    assert found["aten.conv2d.default"] == found["aten.linear.default"] == ON_ANE


def test_one_operator_without_an_answer_makes_its_node_unknown() -> None:
    found = read_plan(Plan(*planned(relu_0=None)), None, PROGRAM)
    assert sorted(found.aten) == ["aten.conv2d.default", "aten.linear.default"]
    assert "thresholded_relu" not in found.ops
    assert "mul" in found.ops


@pytest.mark.parametrize("weight", [None, float("nan"), 1.5, -1, "much"])
def test_what_is_no_share_is_no_cost(weight: Any) -> None:
    operations = planned()
    operations[2].cost = SimpleNamespace(weight=weight)
    found = read_plan(Plan(*operations), None, PROGRAM)
    assert "cost" not in found.aten["aten.hardswish.default"]
    assert "cost" not in found.ops["thresholded_relu"]
    assert found.aten["aten.conv2d.default"]["cost"] == 0.125


def test_a_plan_that_raises_for_an_operator_leaves_it_unknown_and_says_so() -> None:
    found = read_plan(Plan(*planned(linear_cast_fp16=RuntimeError("no such operation"))), None, PROGRAM)
    assert sorted(found.aten) == ["aten.conv2d.default", "aten.hardswish.default"]
    assert found.notes == ["the compute plan failed for ios18.linear: no such operation"]


def test_a_plan_with_other_names_is_joined_to_nothing_and_says_so() -> None:
    operations = planned()
    for operation in operations:
        operation.outputs[0].name += "_renamed"
    found = read_plan(Plan(*operations), None, PROGRAM)
    assert found.aten == {}
    assert found.ops["conv"] == ON_ANE
    assert found.notes == ["the compute plan does not name 7 of 7 operators: x_to_fp16"]
    elsewhere = read_plan(Plan(*planned(), function="other"), None, PROGRAM)
    assert elsewhere.aten == {}


def test_an_answer_for_an_operator_of_another_type_is_none() -> None:
    operations = planned()
    operations[2].operator_name = "ios18.softmax"
    assert "aten.hardswish.default" not in read_plan(Plan(*operations), None, PROGRAM).aten


def test_only_the_function_asked_for_is_described() -> None:
    plan = Plan(*planned())
    plan.model_structure.program.functions["other"] = SimpleNamespace(block=block(op("ios18.exp", "e", answer(CPU))))
    assert "exp" not in read_plan(plan, "main", PROGRAM).ops
    assert set(read_plan(plan, "other", PROGRAM).ops) == {"exp"}
    assert read_plan(plan, "none", PROGRAM).unknown == "the compute plan answers for no operator"


def test_without_debug_information_nothing_is_claimed_of_aten() -> None:
    found = read_plan(Plan(*planned()), None, replace(PROGRAM, handles={}))
    assert (found.aten, len(found.notes)) == ({}, 1)
    assert "no debug information" in found.notes[0]
    assert found.ops["conv"] == ON_ANE


@pytest.mark.parametrize("plan", [None, SimpleNamespace(model_structure=SimpleNamespace(program=None))])
def test_no_plan_is_unknown(plan: Any) -> None:
    assert read_plan(plan, None, PROGRAM).unknown == "Core ML gave no compute plan"


def test_a_node_that_became_nothing_but_a_cast_is_where_that_is() -> None:
    copy = EdgeNode(("copy",), "aten._to_copy.default", 1)
    made, inserted = (MilOperation("main", (output,), "cast", at_boundary=True) for output in ("copy", "x_to_fp16"))
    handles = {"copy:cast": [1], "x_to_fp16:cast": [1]}
    plan = Plan(op("ios18.cast", "copy", answer(CPU)), op("ios18.cast", "x_to_fp16", answer(CPU, ANE)))
    assert read_plan(plan, None, Program((made, inserted), (copy,), handles)).aten == {"aten._to_copy.default": ON_CPU}
    assert read_plan(plan, None, Program((inserted,), (copy,), handles)).aten == {}


def test_what_several_operators_became_costs_none_of_them() -> None:
    program = Program(
        (MilOperation("main", ("add",), "linear"),),
        (EdgeNode(("matmul",), "aten.matmul.default", 1), EdgeNode(("add",), "aten.add.Tensor", 2)),
        {"add:linear": [1, 2]},
    )
    found = read_plan(Plan(op("ios18.linear", "add", answer(CPU, ANE), 1.0)), None, program).aten
    assert found == {"aten.add.Tensor": ON_BOTH, "aten.matmul.default": ON_BOTH}


def test_what_may_be_of_another_node_decides_and_is_no_evidence() -> None:
    program = Program(
        (MilOperation("main", ("mean_0",), "reduce_mean"), MilOperation("main", ("sqrt",), "sqrt")),
        (EdgeNode(("var",), "aten.var.dim", 1), EdgeNode(("sqrt",), "aten.sqrt.default", 1)),
        {"mean_0:reduce_mean": [1], "sqrt:sqrt": [1]},
    )
    plan = Plan(op("ios18.reduce_mean", "mean_0", answer(CPU), 0.5), op("ios18.sqrt", "sqrt", answer(CPU, ANE), 0.5))
    assert read_plan(plan, None, program).aten == {"aten.sqrt.default": {"preferred": "cpu", "supported": ["cpu"]}}


def by_type_only(nodes: Any, operations: Any, handles: Any) -> list[Origin]:
    return [Origin(node, [o for o in operations if o.type in node.op]) for node in nodes]


def last_only(nodes: Any, operations: Any, handles: Any) -> list[Origin]:
    return [Origin(node, [o for o in operations if o.outputs[0] == node.names[0]]) for node in nodes]


def shifted(nodes: Any, operations: Any, handles: Any) -> list[Origin]:
    return origins(nodes, operations, {key: [handle % 3 + 1 for handle in found] for key, found in handles.items()})


def casts_included(nodes: Any, operations: Any, handles: Any) -> list[Origin]:
    return origins(nodes, [replace(o, at_boundary=False) for o in operations], handles)


def test_names_and_handles_that_contradict_each_other_leave_their_nodes_unknown_and_say_so() -> None:
    found = read_plan(Plan(*planned()), None, replace(PROGRAM, handles={**HANDLES, "hardswish:mul": [3]}))
    assert found.aten == {"aten.conv2d.default": ON_ANE}
    assert found.notes == ["the debug handles of hardswish are of other nodes than the names"]


@pytest.mark.parametrize("fault", [by_type_only, last_only, shifted, casts_included])
def test_a_wrong_join_is_seen(fault: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program above tells each of these apart from the right one."""
    right = read_plan(Plan(*planned(hard_0=answer(CPU))), None, PROGRAM).aten
    monkeypatch.setattr(placement, "origins", fault)
    assert read_plan(Plan(*planned(hard_0=answer(CPU))), None, PROGRAM).aten != right


def test_a_package_is_refused_before_it_aborts_the_process(tmp_path: Path) -> None:
    package = tmp_path / "model.mlpackage"
    package.mkdir()
    with pytest.raises(ValueError, match="compiled model"):
        placement.placement_of(package, None)


@pytest.mark.parametrize("version", [None, (13, 6), (14, 3)])
def test_no_plan_before_macos_14_4(version: tuple[int, ...] | None, tmp_path: Path, monkeypatch) -> None:
    compiled = tmp_path / "model.mlmodelc"
    compiled.mkdir()
    monkeypatch.setattr(host, "macos_version", lambda: version)
    placed = placement.placement_of(compiled, None)
    assert placed.ops == {}
    assert placed.unknown == "a compute plan needs macOS 14.4 or later"


def test_a_compiled_model_that_is_gone_is_a_note(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(host, "macos_version", lambda: (15, 5))
    assert placement.placement_of(tmp_path / "model.mlmodelc", None).unknown == "the compiled model is gone"


def test_no_devices_where_core_ml_is_not(monkeypatch) -> None:
    monkeypatch.setattr(host, "macos_version", lambda: None)
    assert placement.available_devices() == []


def test_two_delegates_claim_only_what_holds_in_both() -> None:
    first = ({"add": 2, "conv": 1, "exp": 1}, {"add": ON_BOTH, "conv": ON_BOTH, "exp": ON_BOTH})
    second = ({"add": 1, "conv": 1, "log": 1}, {"add": ON_CPU, "log": ON_BOTH})
    # conv is unknown in the second delegate, exp and log are in one delegate each.
    assert combine(first, second) == {"add": ON_CPU, "exp": ON_BOTH, "log": ON_BOTH}
    assert combine(({}, {}), first) == combine(first, ({}, {})) == first[1]


def test_shares_of_two_plans_say_nothing_of_the_whole() -> None:
    lone = ({"add": 1}, {"add": {**ON_BOTH, "cost": 0.5}})
    assert combine(lone, ({}, {})) == lone[1]
    assert combine(lone, ({"exp": 1}, {})) == {"add": ON_BOTH}


ON_BOTH = {"preferred": "ane", "supported": ["cpu", "ane"]}
ON_CPU = {"preferred": "cpu", "supported": ["cpu"]}
