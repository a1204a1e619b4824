"""`harness doctor`: what is installed, which units can run here and why not, what macOS lacks and what to do about it.

`harness.commands.machine.gather` asks the machine, `diagnose` judges what it was told and touches nothing, so every
machine can be tested on any other.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from packaging.specifiers import SpecifierSet

from harness import __version__
from harness.commands.machine import Facts, gather
from harness.evidence.recipe import DEFAULT_RECIPES, Recipe
from harness.evidence.unit import UnitSpec
from harness.evidence.vocabulary import HARDWARE_UNITS, Unit
from harness.units import devicectl, host
from harness.units.devicectl import ConnectedDevice

#: Without these nothing can be lowered or judged, on any unit.
REQUIRED = ("torch", "executorch", "coremltools", "numpy")
#: What ExecuTorch's Core ML backend asks of a Mac, and the tag of the wheels of the pinned torch and ExecuTorch.
MINIMUM_MACOS = (13,)
MINIMUM_MACOS_OF_WHEELS = (14,)
#: What building ExecuTorch asks for.
MINIMUM_XCODE = (14, 1)
#: Compiled models, lowered programs and journals of a standard run, with room to spare.
MINIMUM_FREE = 5 << 30


class Level(StrEnum):
    """`error`: the reference unit cannot run, exit code 1. `warning`: something else cannot, or may be wrong."""

    OK = "ok"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True)
class Remark:
    """One line of the report."""

    level: Level
    subject: str
    text: str


def diagnose(facts: Facts) -> list[Remark]:
    """Lines in the order of the report: software, system, units, connected devices, cache, disk."""
    return [*_software(facts), *_mac(facts), *_units(facts), *_iphones(facts), _cache(facts), _disk(facts)]


def exit_code(lines: Iterable[Remark]) -> int:
    """0 when the reference unit can run, 1 when something it needs is missing."""
    return int(any(line.level is Level.ERROR for line in lines))


def run(*, ask_core_ml: bool = False) -> int:
    """Print the report; the exit code is `exit_code`'s."""
    if ask_core_ml:
        print("asking Core ML for its devices (imports coremltools, some seconds)", file=sys.stderr)
    facts = gather(ask_core_ml=ask_core_ml)
    system = [facts.system, host.dotted(facts.macos or ()), facts.machine, "(SIMULATED)" if facts.simulated else ""]
    print(f"coreml-harness {__version__} on {' '.join(filter(None, system))}")
    lines = diagnose(facts)
    width = max(len(line.subject) for line in lines)
    for line in lines:
        print(f"  {line.level:<8} {line.subject:<{width}}  {line.text}")
    return exit_code(lines)


# -- software -----------------------------------------------------------------------------------------------------


def _software(facts: Facts) -> list[Remark]:
    lines = [Remark(Level.OK, "python", facts.python)]
    for name, version in facts.versions.items():
        pin = facts.pins.get(name)
        if version is None:
            required = name in REQUIRED
            wanted = f"not installed (needs {pin})" if pin else "not installed"
            text = (
                f"{wanted}: `python install.py`" if required else "not installed (optional: `python install.py models`)"
            )
            lines.append(Remark(Level.ERROR if required else Level.INFO, name, text))
        elif unmet := [ask for ask in facts.asked if ask[1] == name and not _fits(version, ask[2])]:
            wishes = ", ".join(f"{who} {facts.versions[who]} asks for {wanted}" for who, _, wanted in unmet)
            lines.append(Remark(Level.WARNING, name, f"{version}; {wishes}, and may fail with another"))
        elif pin is not None and not _fits(version, f"=={pin}"):
            text = f"{version}, made for {pin}: results are recorded with the version they were measured with"
            lines.append(Remark(Level.WARNING, name, text))
        else:
            lines.append(Remark(Level.OK, name, version))
    return lines


def _fits(version: str, specifier: str) -> bool:
    """`8.3.0` fits `==8.3`, `2.13.0+cpu` fits `==2.13.0`."""
    return SpecifierSet(specifier).contains(version.split("+")[0], prereleases=True)


# -- the Mac ------------------------------------------------------------------------------------------------------


def _mac(facts: Facts) -> list[Remark]:
    if facts.macos is None:
        return []
    return [
        _macos(facts, facts.macos),
        *_processor(facts),
        _xcode(facts),
        _command_line_tools(facts),
        _recipes(facts.macos),
        _since(facts.macos, "compute plans", host.MINIMUM_MACOS_FOR_PLAN, "placement, and so the ANE, stays unknown"),
        _since(facts.macos, "state", host.MINIMUM_MACOS_FOR_STATE, "programs with state are not run"),
        *_core_ml_devices(facts),
    ]


def _macos(facts: Facts, version: tuple[int, ...]) -> Remark:
    wishes = []
    if version < MINIMUM_MACOS:
        wishes.append(f"the Core ML backend asks for {host.dotted(MINIMUM_MACOS)} or later")
    if version < MINIMUM_MACOS_OF_WHEELS:
        wishes.append(f"the wheels of the pinned torch and ExecuTorch need {host.dotted(MINIMUM_MACOS_OF_WHEELS)}")
    text = host.dotted(version)
    if not wishes:
        return Remark(Level.OK, "macOS", text)
    return Remark(Level.WARNING, "macOS", f"{text}; {', '.join(wishes)}: update macOS")


def _processor(facts: Facts) -> list[Remark]:
    if facts.rosetta:
        text = "this Python is an Intel build under Rosetta, where Core ML is another one: install an arm64 Python"
        return [Remark(Level.WARNING, "processor", text)]
    if facts.virtual_machine:
        text = (
            "no Neural Engine and a paravirtual GPU here: of the Core ML units only cpu_only is authoritative; "
            "use a Mac that is not virtual for the others"
        )
        return [Remark(Level.WARNING, "virtual machine", text)]
    if facts.machine != "arm64":
        text = (
            "no Neural Engine on this machine: cpu_and_ne runs on the CPU without saying so, and the pinned torch and "
            "ExecuTorch have no wheels for it; use a Mac with Apple silicon"
        )
        return [Remark(Level.WARNING, facts.machine, text)]
    return [Remark(Level.OK, "processor", "Apple silicon")]


def _xcode(facts: Facts) -> Remark:
    device, build = host.dotted(devicectl.MINIMUM_XCODE), host.dotted(MINIMUM_XCODE)
    uses = f"only device:<name> ({device} or later) and building ExecuTorch ({build} or later) need it"
    if facts.xcode is None:
        return Remark(Level.INFO, "Xcode", f"not found; {uses}: {devicectl.GET_XCODE}")
    if host.parse_version(facts.xcode) < devicectl.MINIMUM_XCODE:
        return Remark(Level.INFO, "Xcode", f"{facts.xcode}; {uses}: update it in the App Store")
    return Remark(Level.OK, "Xcode", facts.xcode)


def _command_line_tools(facts: Facts) -> Remark:
    if facts.developer_dir is None:
        text = "not found: no git, so records do not name their revision; install them with `xcode-select --install`"
        return Remark(Level.WARNING, "Command Line Tools", text)
    return Remark(Level.OK, "Command Line Tools", facts.developer_dir)


def _recipes(macos: tuple[int, ...]) -> Remark:
    """Whether the default recipes load here, else which to ask for instead."""
    names = " and ".join(DEFAULT_RECIPES)
    needed = max(host.MINIMUM_MACOS[Recipe.parse(name).target] for name in DEFAULT_RECIPES)
    if macos >= needed:
        return Remark(Level.OK, "recipes", f"the default ones load here: {names}")
    text = f"the default ones, {names}, do not load here, they need macOS {host.dotted(needed)}"
    if reachable := _reachable(macos):
        others = dict.fromkeys(f"{Recipe.parse(name).precision}-{reachable[-1].lower()}" for name in DEFAULT_RECIPES)
        text += f": ask for {' '.join(f'--recipe {name}' for name in others)}"
    else:
        text += ": update macOS"
    return Remark(Level.WARNING, "recipes", text)


def _since(macos: tuple[int, ...], subject: str, needed: tuple[int, ...], loss: str) -> Remark:
    if macos >= needed:
        return Remark(Level.OK, subject, f"from macOS {host.dotted(needed)}")
    return Remark(Level.WARNING, subject, f"only from macOS {host.dotted(needed)} on: update, or {loss}")


def _core_ml_devices(facts: Facts) -> list[Remark]:
    if facts.core_ml_devices is None:
        return [Remark(Level.INFO, "Core ML's devices", "not asked: `coreml-harness doctor --devices` asks")]
    if not facts.core_ml_devices:
        return [Remark(Level.WARNING, "Core ML's devices", "Core ML does not tell (it does from macOS 14)")]
    missing = [unit for unit in HARDWARE_UNITS if host.missing_device(unit, facts.core_ml_devices)]
    text = ", ".join(facts.core_ml_devices)
    if missing:
        text += f": {', '.join(missing)} would be the CPU and is not run; use a Mac that is not virtual"
    return [Remark(Level.WARNING if missing else Level.OK, "Core ML's devices", text)]


# -- units --------------------------------------------------------------------------------------------------------


def _units(facts: Facts) -> list[Remark]:
    absent = [name for name in REQUIRED if facts.versions.get(name) is None]
    if absent:
        text = f"cannot run: {', '.join(absent)} not installed"
        return [Remark(Level.ERROR, f"unit {_form(unit)}", text) for unit in Unit]
    return [_unit(facts, unit) for unit in Unit]


def _form(unit: Unit) -> str:
    return f"{unit}:<name>" if unit is Unit.DEVICE else str(unit)


def _unit(facts: Facts, unit: Unit) -> Remark:
    subject = f"unit {_form(unit)}"
    if not UnitSpec(unit).runs_core_ml:
        return Remark(Level.OK, subject, "runs here")
    if unit is Unit.DEVICE:
        return _device_unit(facts, subject)
    if unit is Unit.EXECUTORCH and not facts.runtime_has_coreml:
        text = "cannot run Core ML delegates: the installed ExecuTorch runtime is built without CoreMLBackend"
        if facts.macos is None:
            return Remark(Level.INFO, subject, text)
        return Remark(Level.WARNING, subject, f"{text}: install the macOS wheel, `python install.py`")
    if facts.macos is None:
        text = f"cannot run: Core ML predicts only on macOS; this is {facts.system}"
        return Remark(Level.INFO, subject, text)
    if not facts.native_module and unit in HARDWARE_UNITS:
        text = "cannot run: coremltools lacks its native module: install its macOS wheel, `python install.py`"
        return Remark(Level.WARNING, subject, text)
    needed = {Unit.CPU_AND_NE: host.MINIMUM_MACOS_FOR_NE, Unit.EXECUTORCH: MINIMUM_MACOS}.get(unit, ())
    if facts.macos < needed:
        return Remark(Level.WARNING, subject, f"cannot run: needs macOS {host.dotted(needed)} or later: update macOS")
    if not (reachable := _reachable(facts.macos)):
        return Remark(Level.WARNING, subject, "cannot run: this macOS loads no ML Program: update macOS")
    return Remark(Level.OK, subject, f"{_simulated(facts)}runs programs for {', '.join(reachable)}")


def _device_unit(facts: Facts, subject: str) -> Remark:
    if facts.macos is None:
        return Remark(Level.INFO, subject, f"cannot run: needs a Mac with Xcode; this is {facts.system}")
    if not facts.native_module:
        return Remark(Level.WARNING, subject, "cannot run: coremltools lacks its native module, which compiles for it")
    if facts.iphones is None:
        return Remark(Level.INFO, subject, f"cannot run: {facts.iphones_unknown}")
    if facts.xcode is None or host.parse_version(facts.xcode) < devicectl.MINIMUM_XCODE:
        needed = host.dotted(devicectl.MINIMUM_XCODE)
        text = f"cannot run: coremltools' runner app needs Xcode {needed} or later: update it in the App Store"
        return Remark(Level.INFO, subject, text)
    if not facts.iphones:
        text = "no iPhone or iPad: connect one by cable, unlock it, answer Trust, and switch on its developer mode"
        return Remark(Level.INFO, subject, text)
    if facts.signing_problem:
        return Remark(Level.WARNING, subject, f"cannot run: {facts.signing_problem}")
    usable = [device for device in facts.iphones if device.problem() is None]
    if not usable:
        return Remark(Level.WARNING, subject, "cannot run: no device is ready, see below")
    return Remark(Level.OK, subject, f"{_simulated(facts)}runs here: {', '.join(device.name for device in usable)}")


def _iphones(facts: Facts) -> list[Remark]:
    return [_iphone(device, facts.macos or ()) for device in facts.iphones or ()]


def _iphone(device: ConnectedDevice, macos: tuple[int, ...]) -> Remark:
    what = f"{device.model}, {device.system}"
    if problem := device.problem():
        return Remark(Level.WARNING, f"device {device.name}", f"{what}: {problem}")
    # Compiled on this Mac, loaded there.
    targets = [target for target in _reachable(macos) if devicectl.too_old(device, target) is None]
    return Remark(Level.OK, f"device {device.name}", f"{what}: runs programs for {', '.join(targets) or 'no target'}")


def _reachable(macos: tuple[int, ...]) -> list[str]:
    return [target for target, needed in host.MINIMUM_MACOS.items() if macos >= needed]


def _simulated(facts: Facts) -> str:
    return "SIMULATED, never evidence of hardware: " if facts.simulated else ""


# -- disk ---------------------------------------------------------------------------------------------------------


def _cache(facts: Facts) -> Remark:
    if facts.cache_writable:
        return Remark(Level.OK, "cache", facts.cache)
    text = (
        f"{facts.cache} is not writable: every program is lowered again; set COREML_HARNESS_CACHE to a folder that is"
    )
    return Remark(Level.WARNING, "cache", text)


def _disk(facts: Facts) -> Remark:
    text = f"{facts.free / (1 << 30):.1f} GB free in {facts.temporary}"
    if facts.free >= MINIMUM_FREE:
        return Remark(Level.OK, "disk", text)
    wanted = f"compiled models go there, {MINIMUM_FREE >> 30} GB should be free: set TMPDIR to a larger disk"
    return Remark(Level.WARNING, "disk", f"{text}; {wanted}")
