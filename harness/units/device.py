"""A connected iPhone or iPad, driven from a Mac through coremltools' remote-device tools."""

from __future__ import annotations

from typing import Any

from harness.evidence.vocabulary import Unit
from harness.lowering.program import UnpackedDelegate
from harness.units import host
from harness.units.base import NotRunnable


class DeviceUnit:
    """The device of a name, in developer mode, connected to a Mac with Xcode."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.name = f"{Unit.DEVICE}:{device}"

    def unavailable(self, target: str) -> str | None:
        """Why this unit cannot run a program for `target` here; None when it can."""
        if host.macos_version() is None:
            return f"a connected device needs a Mac with Xcode; this is {host.system_name()}"
        return "no remote device here"

    def open(self, delegate: UnpackedDelegate) -> Any:
        raise NotRunnable(self.unavailable("iOS18") or "")
