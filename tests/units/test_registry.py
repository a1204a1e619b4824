"""Every place to run that the vocabulary knows has its row, and a unit that keeps the protocol."""

from __future__ import annotations

import inspect
import typing

import pytest

from harness.evidence.unit import UnitSpec
from harness.evidence.vocabulary import HARDWARE_UNITS, UNIT_MEANINGS, Unit
from harness.units import host, registry
from harness.units.base import UnitRunner

#: A unit of each kind, and those with a parameter.
SPECS = [
    *(UnitSpec(kind) for kind in Unit if kind is not Unit.DEVICE),
    *map(UnitSpec.parse, ("executorch:cpu_only", "device:Test iPhone", "device:Test iPhone:all")),
]


def test_every_kind_of_unit_has_a_row_and_a_meaning() -> None:
    assert set(Unit) - set(registry.UNITS) == set(), "without a row in harness/units/registry.py"
    assert set(Unit) - set(UNIT_MEANINGS) == set(), "without a meaning in harness/evidence/vocabulary.py"


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_a_row_makes_the_unit_that_was_asked_for(spec: UnitSpec) -> None:
    """Records, columns and known issues go by this name: a unit under another one's would fill that one's column."""
    assert registry.make_unit(spec).unit == spec


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_a_unit_keeps_the_protocol(spec: UnitSpec) -> None:
    runner = registry.make_unit(spec)
    for name in ("unavailable", "run"):
        asked = inspect.signature(getattr(UnitRunner, name)).parameters
        offered = inspect.signature(getattr(type(runner), name)).parameters
        assert [(p.name, p.kind) for p in offered.values()] == [(p.name, p.kind) for p in asked.values()]
    assert "unit" in typing.get_type_hints(UnitRunner)


def test_what_needs_core_ml_cannot_run_elsewhere_and_the_rest_can(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "macos_version", lambda: None)
    cannot = {spec for spec in SPECS if registry.unavailable(spec, "iOS18")}
    assert cannot == {spec for spec in SPECS if spec.needs_core_ml}
    assert set(HARDWARE_UNITS) < {spec.kind for spec in cannot}
