from __future__ import annotations

import pytest

from harness.evidence.unit import UnitSpec
from harness.evidence.vocabulary import HarnessError
from harness.process import preparing
from harness.units import devicectl, registry
from harness.units.devicectl import ConnectedDevice

PHONE = ConnectedDevice(
    name="Anna\N{RIGHT SINGLE QUOTATION MARK}s iPhone",
    kind="iPhone",
    model="iPhone16,1",
    ios=(18, 5),
    build="22F76",
    state="connected",
    paired=True,
    developer_mode=True,
    identifier="ID",
    udid="U1",
)
UNITS = [UnitSpec.parse(name) for name in ("reference", "device:Anna's iPhone", "device:Anna's iPhone:cpu_only")]


def test_a_device_answers_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    prepared: list[str] = []
    monkeypatch.setattr(devicectl, "unavailable", lambda unit, target: None)
    monkeypatch.setattr(devicectl, "devices", lambda: [PHONE])
    monkeypatch.setattr(preparing, "prepare_device", lambda name, show: prepared.append(name))
    with pytest.raises(HarnessError, match="a connected device answers one at a time"):
        preparing.prepare(UNITS, print, processes=2)
    preparing.prepare([UnitSpec.parse("reference"), UnitSpec.parse("cpu_only")], print, processes=2)
    assert prepared == []
    preparing.prepare(UNITS, print)
    assert prepared == ["Anna's iPhone"]
    described = {"model": "iPhone16,1", "system": "iOS 18.5", "build": "22F76"}
    assert registry.connected(UNITS) == {"Anna's iPhone": described}


def test_a_device_that_cannot_run_is_not_prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devicectl, "unavailable", lambda unit, target: "not connected")
    monkeypatch.setattr(preparing, "prepare_device", lambda name, show: pytest.fail("prepared"))
    preparing.prepare(UNITS, print, processes=2)
    assert registry.connected(UNITS) == {}
