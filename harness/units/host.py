"""What this machine can run of Core ML, asked cheaply: imports neither torch nor coremltools.

A simulated Core ML host (see the tests) counts as a host that can predict; `is_simulated_host` tells the two apart.
"""

from __future__ import annotations

import functools
import importlib.machinery
import importlib.util
import platform
import subprocess
import sys
from collections.abc import Sequence
from types import ModuleType

from harness.evidence.recipe import TARGETS

#: The native half of coremltools, present in its macOS wheels only.
NATIVE_MODULE = "coremltools.libcoremlpython"
#: Attribute of a simulated native module, holding the macOS version it plays; the real one has no such name.
SIMULATED_MARKER = "simulated_macos"

#: Oldest macOS that loads an ML Program of a deployment target.
MINIMUM_MACOS: dict[str, tuple[int, ...]] = {target.name: target.macos for target in TARGETS.values()}
#: `ComputeUnit.CPU_AND_NE` itself needs this one, whatever the target.
MINIMUM_MACOS_FOR_NE = (13,)
#: MLComputePlan's Python interface needs this one.
MINIMUM_MACOS_FOR_PLAN = (14, 4)
#: State (`MLState`) needs this one.
MINIMUM_MACOS_FOR_STATE = (15,)
#: Packages of several functions (specification version 9) need this one.
MINIMUM_MACOS_FOR_FUNCTIONS = (15,)


def _loaded_native_module() -> ModuleType | None:
    return sys.modules.get(NATIVE_MODULE)


def is_simulated_host() -> bool:
    """True when the native module in this process is a simulation; its results are never evidence of hardware."""
    return hasattr(_loaded_native_module(), SIMULATED_MARKER)


def macos_version() -> tuple[int, ...] | None:
    """`(15, 5)` on macOS 15.5, None elsewhere. The simulated host answers with the version it plays."""
    if is_simulated_host():
        return tuple(getattr(_loaded_native_module(), SIMULATED_MARKER))
    return _real_macos_version()


def simulated_macos() -> str:
    """The version the simulated host plays, `15.5`; empty on a real machine."""
    return dotted(macos_version() or ()) if is_simulated_host() else ""


@functools.cache
def _real_macos_version() -> tuple[int, ...] | None:
    if sys.platform != "darwin":
        return None
    text = platform.mac_ver()[0]
    if not text or text.startswith("10."):  # an interpreter built for an old SDK is told 10.16 on every later macOS
        command = ["/usr/bin/sw_vers", "-productVersion"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True, env={})
            text = done.stdout.strip() or text
        except (OSError, subprocess.SubprocessError):
            pass
    return parse_version(text)


def parse_version(text: str) -> tuple[int, ...]:
    """`"15.5"` to `(15, 5)`; what is not a number ends it."""
    parts: list[int] = []
    for part in text.strip().split("."):
        if not part.isdecimal():
            break
        parts.append(int(part))
    return tuple(parts)


def has_native_module() -> bool:
    """Whether coremltools can predict at all, found without importing it (that takes seconds)."""
    if _loaded_native_module() is not None:
        return True
    package = importlib.util.find_spec("coremltools")
    if package is None or not package.submodule_search_locations:
        return False
    return importlib.machinery.PathFinder.find_spec(NATIVE_MODULE, package.submodule_search_locations) is not None


def system_name() -> str:
    return {"Darwin": "macOS"}.get(platform.system(), platform.system())


def system_too_old(target: str | None) -> str | None:
    """Why the running system cannot load a program for `target` (`iOS18`, ...; None: any); None when it can.

    The native module's `maximum_supported_specification_version` is a constant of its build and not a property of
    the running system, so the version is compared here. Raises `ValueError` for a target nobody knows.
    """
    if target is not None and target not in MINIMUM_MACOS:
        raise ValueError(f"unknown deployment target {target!r}; known: {', '.join(MINIMUM_MACOS)}")
    version = macos_version()
    if version is None:
        return f"Core ML predicts only on macOS; this is {system_name()}"
    needed = MINIMUM_MACOS[target] if target else min(MINIMUM_MACOS.values())
    if version < needed:
        what = f"an {target} program" if target else "an ML Program"
        return f"{what} needs macOS {dotted(needed)} or later; this is macOS {dotted(version)}"
    return None


def coreml_unavailable(unit: str, target: str | None) -> str | None:
    """Why coremltools cannot predict here on `unit` a program for `target` (None: any); None when it can.

    Raises `ValueError` for a target nobody knows.
    """
    if reason := system_too_old(target):
        return reason
    version = macos_version() or ()
    if unit == "cpu_and_ne" and version < MINIMUM_MACOS_FOR_NE:
        return f"{unit} needs macOS {dotted(MINIMUM_MACOS_FOR_NE)} or later; this is macOS {dotted(version)}"
    if not has_native_module():
        if importlib.util.find_spec("coremltools") is None:
            return "coremltools is not installed"
        return f"coremltools is installed without its native module ({NATIVE_MODULE}): not a macOS wheel"
    return None


def missing_device(unit: str, devices: Sequence[str]) -> str | None:
    """Why a unit would not be what its name says: Core ML answers on the CPU, silently, for a device it does not have.

    `devices` are those it offers, empty where it cannot tell (before macOS 14): then nothing is missing.
    """
    wanted = {"cpu_and_gpu": "gpu", "cpu_and_ne": "ane"}.get(unit)
    if wanted is None or not devices or wanted in devices:
        return None
    names = {"gpu": "GPU", "ane": "Neural Engine"}
    return f"Core ML offers no {names[wanted]} on this machine ({', '.join(devices)} only): {unit} would be the CPU"


def dotted(version: tuple[int, ...]) -> str:
    """`(15, 5)` to `15.5`."""
    return ".".join(str(part) for part in version)
