"""`harness doctor`: what is installed, which units can run here and why not, what macOS lacks.

`gather` asks the machine, `diagnose` judges what it was told and touches nothing, so every machine can be tested on any
other. Reads package metadata only: torch, executorch and coremltools are not imported, the answer takes a moment.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import mmap
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from harness import __version__
from harness.evidence.environment import MEASURED, version_of
from harness.evidence.vocabulary import HARDWARE_UNITS, Unit
from harness.units import host

DISTRIBUTION = "coreml-harness"
#: Without these nothing can be lowered or judged, on any unit.
REQUIRED = ("torch", "executorch", "coremltools", "numpy")
#: What ExecuTorch's Core ML backend asks of a Mac.
MINIMUM_MACOS = (13,)
MINIMUM_XCODE = (14, 1)


class Level(StrEnum):
    """`error`: the reference unit cannot run, exit code 1. `warning`: something else cannot, or may be wrong."""

    OK = "ok"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    level: Level
    subject: str
    text: str


@dataclass(frozen=True)
class Facts:
    """What the machine said. `macos` is None elsewhere; the fields below it are asked on macOS only.

    `versions` and `pins` are by distribution: what is installed (None: not) and what the harness was made for.
    `asked` has what the installed packages ask of each other: who, of whom, and a version specifier.
    `runtime_has_coreml` is whether a library of the ExecuTorch wheel names the Core ML backend.
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
    macos: tuple[int, ...] | None = None
    xcode: str | None = None
    developer_dir: str | None = None
    virtual_machine: bool = False


def diagnose(facts: Facts) -> list[Finding]:
    """Findings in the order of the report: software, system, units, cache."""
    return [*_software(facts), *_mac(facts), *_units(facts), _cache(facts)]


def exit_code(findings: Iterable[Finding]) -> int:
    """0 when the reference unit can run, 1 when something it needs is missing."""
    return int(any(finding.level is Level.ERROR for finding in findings))


def run() -> int:
    """Print the report; the exit code is `exit_code`'s."""
    facts = gather()
    print(f"coreml-harness {__version__} on {facts.system} {host.dotted(facts.macos or ())} {facts.machine}".rstrip())
    findings = diagnose(facts)
    width = max(len(finding.subject) for finding in findings)
    for finding in findings:
        print(f"  {finding.level:<8} {finding.subject:<{width}}  {finding.text}")
    return exit_code(findings)


# -- judging ------------------------------------------------------------------------------------------------------


def _software(facts: Facts) -> list[Finding]:
    findings = [Finding(Level.OK, "python", facts.python)]
    for name, version in facts.versions.items():
        pin = facts.pins.get(name)
        if version is None:
            required = name in REQUIRED
            text = "not installed" + (f" (needs {pin})" if pin else "" if required else " (optional)")
            findings.append(Finding(Level.ERROR if required else Level.INFO, name, text))
        elif unmet := [ask for ask in facts.asked if ask[1] == name and not _fits(version, ask[2])]:
            wishes = ", ".join(f"{who} {facts.versions[who]} asks for {wanted}" for who, _, wanted in unmet)
            findings.append(Finding(Level.WARNING, name, f"{version}; {wishes}, and may fail with another"))
        elif pin is not None and not _fits(version, f"=={pin}"):
            text = f"{version}, made for {pin}: results are recorded with the version they were measured with"
            findings.append(Finding(Level.WARNING, name, text))
        else:
            findings.append(Finding(Level.OK, name, version))
    return findings


def _fits(version: str, specifier: str) -> bool:
    """`8.3.0` fits `==8.3`, `2.13.0+cpu` fits `==2.13.0`."""
    return SpecifierSet(specifier).contains(version.split("+")[0], prereleases=True)


def _mac(facts: Facts) -> list[Finding]:
    if facts.macos is None:
        return []
    return [_macos(facts), _xcode(facts), _command_line_tools(facts), *_virtual_machine(facts)]


def _macos(facts: Facts) -> Finding:
    assert facts.macos is not None
    text = host.dotted(facts.macos)
    if facts.macos >= MINIMUM_MACOS:
        return Finding(Level.OK, "macOS", text)
    text += f"; the Core ML backend asks for {host.dotted(MINIMUM_MACOS)} or later"
    return Finding(Level.WARNING, "macOS", text)


def _xcode(facts: Facts) -> Finding:
    needed = f"the Core ML backend asks for {host.dotted(MINIMUM_XCODE)} or later"
    if facts.xcode is None:
        return Finding(Level.WARNING, "Xcode", f"not found; {needed}")
    if host.parse_version(facts.xcode) < MINIMUM_XCODE:
        return Finding(Level.WARNING, "Xcode", f"{facts.xcode}; {needed}")
    return Finding(Level.OK, "Xcode", facts.xcode)


def _command_line_tools(facts: Facts) -> Finding:
    if facts.developer_dir is None:
        text = "not found; install them with `xcode-select --install`"
        return Finding(Level.WARNING, "Command Line Tools", text)
    return Finding(Level.OK, "Command Line Tools", facts.developer_dir)


def _virtual_machine(facts: Facts) -> list[Finding]:
    if facts.virtual_machine:
        text = "no Neural Engine and a paravirtual GPU here: of the Core ML units only cpu_only is authoritative"
        return [Finding(Level.WARNING, "virtual machine", text)]
    if facts.machine != "arm64":
        text = "no Neural Engine on this machine: cpu_and_ne runs on the CPU without saying so"
        return [Finding(Level.WARNING, facts.machine, text)]
    return []


def _units(facts: Facts) -> list[Finding]:
    absent = [name for name in REQUIRED if facts.versions.get(name) is None]
    findings = []
    for unit in Unit:
        subject = f"unit {unit}"
        if absent:
            findings.append(Finding(Level.ERROR, subject, f"cannot run: {', '.join(absent)} not installed"))
        elif unit is Unit.REFERENCE:
            findings.append(Finding(Level.OK, subject, "runs here"))
        elif unit in HARDWARE_UNITS and not facts.native_module and facts.macos is not None:
            findings.append(Finding(Level.WARNING, subject, "cannot run: coremltools lacks its native module"))
        elif unit is Unit.EXECUTORCH and not facts.runtime_has_coreml:
            text = "cannot run Core ML delegates: the installed ExecuTorch runtime is built without CoreMLBackend"
            findings.append(Finding(Level.INFO if facts.macos is None else Level.WARNING, subject, text))
        else:
            findings.append(_on_targets(facts, unit))
    return findings


def _on_targets(facts: Facts, unit: Unit) -> Finding:
    subject = f"unit {unit}"
    if facts.macos is None:
        return Finding(Level.INFO, subject, f"cannot run: Core ML predicts only on macOS; this is {facts.system}")
    if unit is Unit.CPU_AND_NE and facts.macos < host.MINIMUM_MACOS_FOR_NE:
        text = f"cannot run: needs macOS {host.dotted(host.MINIMUM_MACOS_FOR_NE)} or later"
        return Finding(Level.WARNING, subject, text)
    reachable = [target for target, needed in host.MINIMUM_MACOS.items() if facts.macos >= needed]
    if not reachable:
        return Finding(Level.WARNING, subject, "cannot run: this macOS loads no ML Program")
    simulated = "SIMULATED, never evidence of hardware: " if facts.simulated else ""
    return Finding(Level.OK, subject, f"{simulated}runs programs for {', '.join(reachable)}")


def _cache(facts: Facts) -> Finding:
    if facts.cache_writable:
        return Finding(Level.OK, "cache", facts.cache)
    return Finding(Level.WARNING, "cache", f"{facts.cache} is not writable: every program is lowered again")


# -- asking the machine -------------------------------------------------------------------------------------------


def gather() -> Facts:
    """Ask this machine; well under a second."""
    import platformdirs

    macos = host.macos_version()
    # As `harness.lowering.cache.location`, which cannot be asked without importing torch; a test compares the two.
    cache = Path(os.environ.get("COREML_HARNESS_CACHE") or platformdirs.user_cache_dir(DISTRIBUTION))
    on_mac = sys.platform == "darwin"
    return Facts(
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
        macos=macos,
        xcode=_xcode_version(_output("xcodebuild", "-version")) if on_mac else None,
        developer_dir=_output("xcode-select", "-p") if on_mac else None,
        virtual_machine=on_mac and _output("sysctl", "-n", "kern.hv_vmm_present") == "1",
    )


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


def _output(*command: str) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
