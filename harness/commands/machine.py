"""What this machine says of itself, for `harness doctor`. Imports neither torch nor executorch nor coremltools."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import mmap
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from packaging.requirements import Requirement

from harness.evidence.environment import MEASURED, version_of
from harness.units import devicectl, host
from harness.units.devicectl import ConnectedDevice

DISTRIBUTION = "coreml-harness"
_CORE_ML_DEADLINE = 120.0


@dataclass(frozen=True)
class Facts:
    """What the machine said. `macos` is None elsewhere; the fields below it are asked on macOS only.

    `versions` and `pins` are by distribution: what is installed (None: not) and what the harness was made for.
    `asked` has what the installed packages ask of each other: who, of whom, and a version specifier.
    `runtime_has_coreml` is whether a library of the ExecuTorch wheel names the Core ML backend. `free` are bytes on the
    disk of `temporary`. `core_ml_devices` are those Core ML offers, None when it was not asked, empty when it does not
    tell; `iphones` is None, with the reason, where Xcode cannot be asked; `signing_problem` is why no runner app can
    be signed for them.
    """

    system: str
    machine: str
    python: str
    versions: dict[str, str | None]
    pins: dict[str, str] = field(default_factory=dict)
    asked: tuple[tuple[str, str, str], ...] = ()
    native_module: bool = False
    simulated: bool = False
    runtime_has_coreml: bool = False
    cache: str = ""
    cache_writable: bool = True
    temporary: str = ""
    free: int = 1 << 40
    macos: tuple[int, ...] | None = None
    xcode: str | None = None
    developer_dir: str | None = None
    virtual_machine: bool = False
    rosetta: bool = False
    core_ml_devices: tuple[str, ...] | None = None
    iphones: tuple[ConnectedDevice, ...] | None = None
    iphones_unknown: str = ""
    signing_problem: str | None = None


def gather(*, ask_core_ml: bool = False) -> Facts:
    """Ask this machine: well under a second, a few where Xcode lists devices. Asking Core ML itself for its devices
    means importing coremltools, in a child process, because Core ML may end the process that asks."""
    import platformdirs

    macos = host.macos_version()
    # As `harness.lowering.cache.location`, which cannot be asked without importing torch; a test compares the two.
    cache = Path(os.environ.get("COREML_HARNESS_CACHE") or platformdirs.user_cache_dir(DISTRIBUTION))
    facts = Facts(
        system=host.system_name() if macos is None else "macOS",
        machine=platform.machine(),
        python=platform.python_version(),
        versions={name: version_of(name) for name in MEASURED},
        pins=pins(importlib.metadata.requires(DISTRIBUTION) or [] if version_of(DISTRIBUTION) else []),
        asked=tuple(asked()),
        native_module=host.has_native_module(),
        simulated=host.is_simulated_host(),
        runtime_has_coreml=_runtime_has_coreml(),
        cache=str(cache),
        cache_writable=_writable(cache),
        temporary=tempfile.gettempdir(),
        free=shutil.disk_usage(tempfile.gettempdir()).free,
    )
    return facts if macos is None else _of_mac(facts, macos, ask_core_ml)


def _of_mac(facts: Facts, macos: tuple[int, ...], ask_core_ml: bool) -> Facts:
    iphones, unknown, signing = None, "", None
    try:
        iphones = tuple(devicectl.devices(anew=True))
        if iphones:
            devicectl.signing()
    except devicectl.DevicesUnknown as error:
        unknown, signing = ("", str(error)) if iphones else (str(error), None)
    return replace(
        facts,
        machine="arm64" if _output("sysctl", "-n", "hw.optional.arm64") == "1" else "x86_64",
        macos=macos,
        xcode=_xcode_version(_output("xcodebuild", "-version")),
        developer_dir=_output("xcode-select", "-p"),
        virtual_machine=_output("sysctl", "-n", "kern.hv_vmm_present") == "1",
        rosetta=_output("sysctl", "-n", "sysctl.proc_translated") == "1",
        core_ml_devices=_core_ml_devices() if ask_core_ml and facts.native_module else None,
        iphones=iphones,
        iphones_unknown=unknown,
        signing_problem=signing,
    )


def _core_ml_devices() -> tuple[str, ...]:
    code = "from harness.units.placement import available_devices; print(*available_devices())"
    answer = _output(sys.executable, "-c", code, timeout=_CORE_ML_DEADLINE)
    return tuple((answer or "").split())


def pins(requirements: Iterable[str]) -> dict[str, str]:
    """Exactly pinned versions among requirement lines: `torch==2.13.0; extra == "x"` gives `{"torch": "2.13.0"}`."""
    found = {}
    for requirement in requirements:
        if match := re.match(r"\s*([A-Za-z0-9._-]+)\s*\(?==\s*([^\s;,)]+)", requirement):
            found[match[1].lower()] = match[2]
    return found


def asked() -> Iterable[tuple[str, str, str]]:
    """What each measured package that is installed asks of another here: who, of whom, version specifier."""
    for who in MEASURED:
        for line in (importlib.metadata.requires(who) or []) if version_of(who) else []:
            wanted = Requirement(line)
            applies = wanted.marker is None or wanted.marker.evaluate({"extra": ""})
            if applies and wanted.specifier and wanted.name.lower() in MEASURED:
                yield who, wanted.name.lower(), str(wanted.specifier)


def _xcode_version(text: str | None) -> str | None:
    match = re.search(r"^Xcode\s+([\d.]+)", text or "", re.MULTILINE)
    return match[1] if match else None


def _runtime_has_coreml() -> bool:
    package = importlib.util.find_spec("executorch")
    for location in (package.submodule_search_locations or []) if package else []:
        for path in Path(location).rglob("*"):
            if path.suffix in (".so", ".dylib") and _holds(path, b"CoreMLBackend"):
                return True
    return False


def _holds(path: Path, text: bytes) -> bool:
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return content.find(text) >= 0
    except (OSError, ValueError):  # ValueError: an empty file
        return False


def _writable(folder: Path) -> bool:
    """Whether files could be made there; looks at the nearest folder that exists and creates nothing."""
    nearest = next((path for path in (folder, *folder.parents) if path.exists()), None)
    return nearest is not None and nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)


def _output(*command: str, timeout: float = 20.0) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
