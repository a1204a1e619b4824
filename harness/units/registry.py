"""The units by name. To add one: write its file, add a row."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from harness.evidence.vocabulary import HARDWARE_UNITS, HarnessError, Unit, unit_kind
from harness.units import devicectl, host


def _reference() -> Any:
    from harness.units.reference import ReferenceUnit

    return ReferenceUnit()


def _coreml(name: str) -> Callable[[], Any]:
    def make() -> Any:
        from harness.units.coreml import CoreMLUnit

        return CoreMLUnit(name)

    return make


def _executorch(compute_unit: str = "") -> Any:
    from harness.units.executorch import ExecuTorchUnit

    return ExecuTorchUnit(compute_unit)


def _device(device: str = "") -> Any:
    from harness.units.device import DeviceUnit

    return DeviceUnit(device)


UNITS: dict[str, Callable[..., Any]] = {
    str(Unit.REFERENCE): _reference,
    **{str(name): _coreml(str(name)) for name in HARDWARE_UNITS},
    str(Unit.EXECUTORCH): _executorch,
    str(Unit.DEVICE): _device,
}
#: Parameters of units that take one: those of `executorch` are compute units, of `device` a name and such a unit.
WITH_PARAMETER = (Unit.EXECUTORCH, Unit.DEVICE)
FORMS = (*(str(unit) for unit in Unit if unit is not Unit.DEVICE), "executorch:<compute unit>", "device:<name>")


def require_unit(name: str) -> str:
    """Raises `HarnessError` for an unknown unit, naming the known ones."""
    kind, colon, parameter = name.partition(":")
    if kind not in UNITS or (colon and (kind not in WITH_PARAMETER or not parameter)):
        raise HarnessError(f"unknown unit {name!r}: expected one of {', '.join(FORMS)}")
    if kind == Unit.EXECUTORCH and colon and parameter not in HARDWARE_UNITS:
        raise HarnessError(f"unit {name!r}: {parameter!r} is no compute unit; they are {', '.join(HARDWARE_UNITS)}")
    if kind == Unit.DEVICE and (not colon or "@" in name or "::" in name):
        raise HarnessError(f"unit {name!r}: expected device:<name>, a connected iPhone or iPad, without '@' and '::'")
    return name


def make_unit(name: str) -> Any:
    """The unit of a name; raises `HarnessError` for an unknown one."""
    kind, colon, parameter = require_unit(name).partition(":")
    return UNITS[kind](parameter) if colon else UNITS[kind]()


def unavailable(name: str, target: str) -> str | None:
    """Why a unit cannot run here, without importing torch or coremltools; None when it can, as far as that tells."""
    kind, _, parameter = require_unit(name).partition(":")
    if kind in HARDWARE_UNITS:
        return host.coreml_unavailable(name, target)
    return devicectl.unavailable(parameter, target) if kind == Unit.DEVICE else None


def connected(names: Iterable[str]) -> dict[str, dict[str, str]]:
    """Model and system, by name, of the connected devices among the units that can run, for the environment block."""
    found = {name: devicectl.find(name, devicectl.devices()) for name in devices_of(names)}
    return {n: {"model": d.model, "system": d.system, "build": d.build} for n, d in found.items()}


def devices_of(names: Iterable[str]) -> list[str]:
    """Names of the connected devices among the units that can run."""
    parameters = [name.partition(":")[2] for name in names if unit_kind(name) == Unit.DEVICE]
    usable = [parameter for parameter in parameters if devicectl.unavailable(parameter, None) is None]
    return sorted({devicectl.split(parameter)[0] for parameter in usable})


def units_here(target: str = "iOS18") -> list[str]:
    """The units that run on this machine when none is asked for: the reference, and Core ML's where it predicts."""
    names = (Unit.REFERENCE, *HARDWARE_UNITS)
    return [str(name) for name in names if unavailable(name, target) is None]
