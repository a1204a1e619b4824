"""Environment blocks as pages show them, and which columns they may fill."""

from __future__ import annotations

from typing import Any

from harness.evidence.files import is_simulated
from harness.evidence.unit import UnitSpec


def system_name(environment: dict[str, Any]) -> str:
    """`macos 15.2`; of other systems the name alone: no result depends on a Linux kernel's build."""
    name = str(environment.get("os", ""))
    return name if name.startswith("macos") else name.split(" ", 1)[0]


def is_mac(environment: dict[str, Any] | None) -> bool:
    return str((environment or {}).get("os", "")).startswith("macos")


def may_fill(unit: str, environment: dict[str, Any] | None) -> bool:
    """Whether a record of `unit` from `environment` may stand in a published table.

    Nothing of a simulated Core ML host may, and a column of Core ML itself needs macOS.
    """
    if is_simulated(environment):
        return False
    return not UnitSpec.parse(unit).needs_core_ml or is_mac(environment)


def describe_environment(block: dict[str, Any]) -> str:
    """One line: versions, system, chip, date. A simulated host says so first."""
    versions = block.get("versions") or {}
    parts = [f"{name} {versions[name]}" for name in ("executorch", "coremltools", "torch") if name in versions]
    parts += [text for text in (system_name(block), block.get("chip"), block.get("date")) if text]
    return ("SIMULATED HOST, " if is_simulated(block) else "") + ", ".join(parts)
