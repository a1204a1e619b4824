from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.units import host, placement
from harness.units.placement import OperatorUsage, Placement, combine, summarise, unmet_request, unversioned


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


def test_ane_request_that_is_met_needs_no_note() -> None:
    placed = Placement(summarise([usage("conv", "ane", "cpu", "ane")]))
    assert unmet_request("cpu_and_ne", placed) is None


@pytest.mark.parametrize(
    ("usages", "note"),
    [
        ([usage("conv", "cpu", "cpu")], "ANE requested, nothing placed there"),
        ([usage("conv", "cpu", "cpu", "ane")], "ANE requested, nothing placed there (it supports conv)"),
        ([usage("conv", "ane", "ane"), usage("cast", "cpu", "cpu")], "ANE requested, not placed there: cast"),
    ],
)
def test_ane_request_that_is_not_met_is_noted(usages: list[OperatorUsage], note: str) -> None:
    assert unmet_request("cpu_and_ne", Placement(summarise(usages))) == note
    assert unmet_request("all", Placement(summarise(usages))) is None


def test_without_a_plan_nothing_is_said_about_the_ane() -> None:
    assert unmet_request("cpu_and_ne", Placement(unknown="no plan")) is None


def test_a_device_class_added_later_is_not_taken_for_a_known_one() -> None:
    class MLQuantumComputeDevice: ...

    assert placement.device_name(MLQuantumComputeDevice()) == "MLQuantumComputeDevice"
    found = summarise([usage("conv", "MLQuantumComputeDevice", "MLQuantumComputeDevice", "cpu")])
    assert found["conv"]["supported"] == ["MLQuantumComputeDevice", "cpu"]


def test_nested_blocks_are_planned_and_constants_are_not() -> None:
    class MLCPUComputeDevice: ...

    answer = SimpleNamespace(
        preferred_compute_device=MLCPUComputeDevice(), supported_compute_devices=[MLCPUComputeDevice()]
    )
    plan = SimpleNamespace(get_compute_device_usage_for_mlprogram_operation=lambda operation: answer)
    inner = SimpleNamespace(operations=[SimpleNamespace(operator_name="ios17.exp", blocks=[])])
    operations = [
        SimpleNamespace(operator_name="const", blocks=[]),
        SimpleNamespace(operator_name="ios17.cond", blocks=[inner]),
    ]
    found = summarise(placement._usages(plan, [SimpleNamespace(operations=operations)]))
    assert set(found) == {"cond", "exp"}


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


def test_no_devices_where_core_ml_is_not(monkeypatch) -> None:
    monkeypatch.setattr(host, "macos_version", lambda: None)
    assert placement.available_devices() == []


def test_two_delegates_claim_only_what_holds_in_both() -> None:
    first = ({"add": 2, "conv": 1, "exp": 1}, {"add": ON_BOTH, "conv": ON_BOTH, "exp": ON_BOTH})
    second = ({"add": 1, "conv": 1, "log": 1}, {"add": ON_CPU, "log": ON_BOTH})
    # conv is unknown in the second delegate, exp and log are in one delegate each.
    assert combine(first, second) == {"add": ON_CPU, "exp": ON_BOTH, "log": ON_BOTH}
    assert combine(({}, {}), first) == first[1]


ON_BOTH = {"preferred": "ane", "supported": ["cpu", "ane"]}
ON_CPU = {"preferred": "cpu", "supported": ["cpu"]}
