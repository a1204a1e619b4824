from __future__ import annotations

import pytest

from harness.evidence.unit import FORMS, UnitSpec
from harness.evidence.vocabulary import HARDWARE_UNITS, HarnessError, Unit

#: What may be written, and what it means.
WRITTEN: dict[str, UnitSpec] = {
    "reference": UnitSpec(Unit.REFERENCE),
    **{str(unit): UnitSpec(unit) for unit in HARDWARE_UNITS},
    "executorch": UnitSpec(Unit.EXECUTORCH),
    **{f"executorch:{unit}": UnitSpec(Unit.EXECUTORCH, str(unit)) for unit in HARDWARE_UNITS},
    "device:Test iPhone": UnitSpec(Unit.DEVICE, "", "Test iPhone"),
    "device:Test iPhone:cpu_and_ne": UnitSpec(Unit.DEVICE, "cpu_and_ne", "Test iPhone"),
    "device:my: phone": UnitSpec(Unit.DEVICE, "", "my: phone"),
    "device:cpu_only": UnitSpec(Unit.DEVICE, "", "cpu_only"),
    "device:a:b:all": UnitSpec(Unit.DEVICE, "all", "a:b"),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_a_unit_is_parsed_and_printed_the_same(name: str) -> None:
    assert UnitSpec.parse(name) == WRITTEN[name]
    assert str(UnitSpec.parse(name)) == name


@pytest.mark.parametrize(
    "name", ["", "npu", "CPU_ONLY", "reference:cpu_only", "all:", "executorch:", "device:", " all"]
)
def test_an_unknown_unit_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(HarnessError) as caught:
        UnitSpec.parse(name)
    assert str(caught.value) == f"unknown unit {name!r}: expected one of {', '.join(FORMS)}"


def test_the_known_ones_are_all_named() -> None:
    kinds = {form.partition(":")[0] for form in FORMS}
    assert kinds == set(map(str, Unit))


def test_executorch_is_restricted_to_a_compute_unit_alone() -> None:
    with pytest.raises(HarnessError) as caught:
        UnitSpec.parse("executorch:npu")
    assert str(caught.value) == (
        "unit 'executorch:npu': 'npu' is no compute unit; they are cpu_only, cpu_and_gpu, cpu_and_ne, all"
    )


@pytest.mark.parametrize("name", ["device", "device:a@b", "device:a::b"])
def test_a_device_has_a_name_that_ids_can_hold(name: str) -> None:
    with pytest.raises(HarnessError) as caught:
        UnitSpec.parse(name)
    assert str(caught.value) == (
        f"unit {name!r}: expected device:<name>, a connected iPhone or iPad, without '@' and '::'"
    )


@pytest.mark.parametrize(
    ("name", "needs", "runs", "core_ml", "ane"),
    [
        ("reference", False, False, "", False),
        ("cpu_only", True, True, "cpu_only", False),
        ("cpu_and_gpu", True, True, "cpu_and_gpu", False),
        ("cpu_and_ne", True, True, "cpu_and_ne", True),
        ("all", True, True, "all", True),
        ("executorch", False, True, "", True),
        ("executorch:cpu_only", False, True, "cpu_only", False),
        ("executorch:cpu_and_ne", False, True, "cpu_and_ne", True),
        ("device:iPhone", True, True, "all", True),
        ("device:iPhone:cpu_and_gpu", True, True, "cpu_and_gpu", False),
        ("device:cpu_only", True, True, "all", True),
    ],
)
def test_what_a_unit_says_of_core_ml(name: str, needs: bool, runs: bool, core_ml: str, ane: bool) -> None:
    unit = UnitSpec.parse(name)
    assert (unit.needs_core_ml, unit.runs_core_ml) == (needs, runs)
    assert (unit.core_ml_unit, unit.may_use_ane) == (core_ml, ane)
