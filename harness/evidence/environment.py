"""The environment block: what a record was measured with. Reads package metadata, imports none of it."""

from __future__ import annotations

import datetime
import importlib.metadata
import platform
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness import __version__

#: Distributions whose versions decide an outcome.
MEASURED = ("torch", "executorch", "coremltools", "torchvision", "transformers", "torchao", "numpy")


def version_of(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def environment_block(
    *,
    simulated_macos: str = "",
    devices: list[str] | None = None,
    connected: Mapping[str, Mapping[str, str]] | None = None,
) -> tuple[str, dict[str, Any]]:
    """`(id, block)`. The id holds what decides an outcome: system, machine and the measured versions.

    `simulated_macos` is the version a simulated Core ML host plays (`15.5`), empty on a real machine; `devices` are
    those Core ML offers (`cpu`, `gpu`, `ane`), empty where it cannot tell; `connected` has model, system and build, by
    name, of the iPhones and iPads a run drives, which decide its outcomes, too.
    """
    versions = {name: version for name in MEASURED if (version := version_of(name))}
    system = {"Darwin": "macos"}.get(platform.system(), platform.system().lower())
    release = platform.mac_ver()[0] if system == "macos" else ""
    parts = [f"{system}{release}", platform.machine()]
    parts += [f"{name}{versions.get(name, '-')}" for name in ("executorch", "coremltools", "torch")]
    for device in sorted(f"{d['model']}-{d['system']}" for d in (connected or {}).values()):
        parts.append(re.sub(r"[^A-Za-z0-9.-]", "", device.replace(",", ".")))
    if simulated_macos:
        parts += [f"macos{simulated_macos}", "simulated"]
    block: dict[str, Any] = {
        "python": platform.python_version(),
        "harness": __version__,
        "versions": versions,
        "os": f"{system} {release or platform.release()}",
        "machine": platform.machine(),
        "chip": chip(),
        "devices": devices or [],
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "revision": git_revision(),
    }
    if connected:
        block["connected"] = {name: dict(device) for name, device in connected.items()}
    if simulated_macos:
        block |= {"simulated": True, "simulated_macos": simulated_macos}
    return "-".join(parts), block


def chip() -> str:
    """The processor's name, `Apple M2` or `AMD EPYC`; empty when the system does not tell."""
    if sys.platform == "darwin":
        return _output("sysctl", "-n", "machdep.cpu.brand_string")
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor()


def git_revision() -> str:
    """Revision of the checkout this package lies in, or empty when it is not in one."""
    here = Path(__file__).resolve().parent
    return _output("git", "-C", str(here), "rev-parse", "--short=12", "HEAD")


def _output(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
