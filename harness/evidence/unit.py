"""`UnitSpec`: a place to run, parsed once from `cpu_and_ne`, `executorch:cpu_only` or `device:Test iPhone:all`."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from harness.evidence.vocabulary import HARDWARE_UNITS, HarnessError, Unit

#: What may be written, for messages.
FORMS = (*(str(unit) for unit in Unit if unit is not Unit.DEVICE), "executorch:<compute unit>", "device:<name>")

_KINDS = frozenset(map(str, Unit))


@dataclass(frozen=True)
class UnitSpec:
    """A kind of unit and what restricts it.

    `compute_unit` is one of Core ML's, or empty: for `executorch` then the one the program was lowered with, for
    `device` all of them. `device` is a connected device's name, for units of that kind alone.
    """

    kind: Unit
    compute_unit: str = ""
    device: str = ""

    def __str__(self) -> str:
        return ":".join(part for part in (self.kind, self.device, self.compute_unit) if part)

    @staticmethod
    @functools.cache
    def parse(name: str) -> UnitSpec:
        """Raises `HarnessError` for an unknown unit, naming the known ones."""
        kind, colon, parameter = name.partition(":")
        if kind not in _KINDS or (colon and (kind not in (Unit.EXECUTORCH, Unit.DEVICE) or not parameter)):
            raise HarnessError(f"unknown unit {name!r}: expected one of {', '.join(FORMS)}")
        if kind == Unit.EXECUTORCH:
            if colon and parameter not in HARDWARE_UNITS:
                known = ", ".join(HARDWARE_UNITS)
                raise HarnessError(f"unit {name!r}: {parameter!r} is no compute unit; they are {known}")
            return UnitSpec(Unit.EXECUTORCH, parameter)
        if kind == Unit.DEVICE:
            if not colon or "@" in name or "::" in name:
                raise HarnessError(
                    f"unit {name!r}: expected device:<name>, a connected iPhone or iPad, without '@' and '::'"
                )
            device, _, last = parameter.rpartition(":")
            named = (device, last) if device and last in HARDWARE_UNITS else (parameter, "")
            return UnitSpec(Unit.DEVICE, named[1], named[0])
        return UnitSpec(Unit(kind))

    @property
    def needs_core_ml(self) -> bool:
        """Whether Core ML itself answers: only a record made from a real Mac may fill such a unit's column."""
        return self.kind in (*HARDWARE_UNITS, Unit.DEVICE)

    @property
    def runs_core_ml(self) -> bool:
        """Whether delegates are run by Core ML there, through coremltools or through ExecuTorch."""
        return self.needs_core_ml or self.kind is Unit.EXECUTORCH

    @property
    def core_ml_unit(self) -> str:
        """What Core ML is restricted to there; empty where nothing says, as for `executorch` alone."""
        if self.kind in HARDWARE_UNITS:
            return str(self.kind)
        return self.compute_unit or (str(Unit.ALL) if self.kind is Unit.DEVICE else "")

    @property
    def may_use_ane(self) -> bool:
        """Whether the unit lets Core ML use the Apple Neural Engine; whether it does, only a compute plan can say."""
        return self.runs_core_ml and self.core_ml_unit not in (Unit.CPU_ONLY, Unit.CPU_AND_GPU)
