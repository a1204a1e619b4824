"""The units by name. To add one: write its file, add a row."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from harness.evidence.unit import UnitSpec
from harness.evidence.vocabulary import HARDWARE_UNITS, Unit
from harness.units import devicectl, host

if TYPE_CHECKING:
    from harness.units.base import UnitRunner


def _reference(unit: UnitSpec) -> UnitRunner:
    from harness.units.reference import ReferenceUnit

    return ReferenceUnit()


def _coreml(unit: UnitSpec) -> UnitRunner:
    from harness.units.coreml import CoreMLUnit

    return CoreMLUnit(unit.kind)


def _executorch(unit: UnitSpec) -> UnitRunner:
    from harness.units.executorch import ExecuTorchUnit

    return ExecuTorchUnit(unit.compute_unit)


def _device(unit: UnitSpec) -> UnitRunner:
    from harness.units.device import DeviceUnit

    return DeviceUnit(unit)


UNITS: dict[Unit, Callable[[UnitSpec], UnitRunner]] = {
    Unit.REFERENCE: _reference,
    **dict.fromkeys(HARDWARE_UNITS, _coreml),
    Unit.EXECUTORCH: _executorch,
    Unit.DEVICE: _device,
}


def make_unit(unit: UnitSpec) -> UnitRunner:
    """What runs programs there."""
    return UNITS[unit.kind](unit)


def unavailable(unit: UnitSpec, target: str) -> str | None:
    """Why a unit cannot run here, without importing torch or coremltools; None when it can, as far as that tells."""
    if unit.kind in HARDWARE_UNITS:
        return host.coreml_unavailable(unit.kind, target)
    return devicectl.unavailable(unit, target) if unit.kind is Unit.DEVICE else None


def connected(units: Iterable[UnitSpec]) -> dict[str, dict[str, str]]:
    """Model and system, by name, of the connected devices among the units that can run, for the environment block."""
    found = {name: devicectl.find(name, devicectl.devices()) for name in devices_of(units)}
    return {n: {"model": d.model, "system": d.system, "build": d.build} for n, d in found.items()}


def devices_of(units: Iterable[UnitSpec]) -> list[str]:
    """Names of the connected devices among the units that can run."""
    return sorted({unit.device for unit in units if unit.kind is Unit.DEVICE and not devicectl.unavailable(unit, None)})


def units_here(target: str = "iOS18") -> list[UnitSpec]:
    """The units that run on this machine when none is asked for: the reference, and Core ML's where it predicts."""
    units = [UnitSpec(kind) for kind in (Unit.REFERENCE, *HARDWARE_UNITS)]
    return [unit for unit in units if unavailable(unit, target) is None]
