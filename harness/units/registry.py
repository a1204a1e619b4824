"""The units by name. To add one: write its file, add a row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from harness.evidence.vocabulary import HARDWARE_UNITS, HarnessError, Unit
from harness.units import host


def _reference() -> Any:
    from harness.units.reference import ReferenceUnit

    return ReferenceUnit()


def _coreml(name: str) -> Callable[[], Any]:
    def make() -> Any:
        from harness.units.coreml import CoreMLUnit

        return CoreMLUnit(name)

    return make


def _executorch() -> Any:
    from harness.units.executorch import ExecuTorchUnit

    return ExecuTorchUnit()


UNITS: dict[str, Callable[[], Any]] = {
    str(Unit.REFERENCE): _reference,
    **{str(name): _coreml(str(name)) for name in HARDWARE_UNITS},
    str(Unit.EXECUTORCH): _executorch,
}


def require_unit(name: str) -> str:
    """Raises `HarnessError` for an unknown unit, naming the known ones."""
    if name not in UNITS:
        raise HarnessError(f"unknown unit {name!r}: expected one of {', '.join(UNITS)}")
    return name


def make_unit(name: str) -> Any:
    return UNITS[require_unit(name)]()


def unavailable(name: str, target: str) -> str | None:
    """Why a unit cannot run here, without importing torch or coremltools; None when it can, as far as that tells."""
    if require_unit(name) in HARDWARE_UNITS:
        return host.coreml_unavailable(name, target)
    return None


def units_here(target: str = "iOS18") -> list[str]:
    """The units that run on this machine when none is asked for: the reference, and Core ML's where it predicts."""
    return [name for name in UNITS if name != Unit.EXECUTORCH and unavailable(name, target) is None]
