"""Connected iPhones and iPads as Xcode's `devicectl` lists them; imports neither torch nor coremltools.

The device tools of coremltools 9.0 build a runner app (its `modelrunner` project), install and start it with
`devicectl`, and exchange files with it. What they need and do not check themselves is asked here, where it is cheap.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.evidence.recipe import TARGETS
from harness.evidence.unit import UnitSpec
from harness.evidence.vocabulary import Unit
from harness.units import host

#: Oldest iOS and iPadOS that load an ML Program of a deployment target.
MINIMUM_IOS: dict[str, tuple[int, ...]] = {target.name: target.ios for target in TARGETS.values()}
#: `IPHONEOS_DEPLOYMENT_TARGET` of the runner app's target.
MINIMUM_IOS_FOR_RUNNER = (17,)
#: The runner app answers with a compute plan from this one on.
MINIMUM_IOS_FOR_PLAN = (17, 4)
#: The runner's project has synchronised folders and its source names `MLOptimizationHints.SpecializationStrategy`, of
#: the iOS 18 SDK. `devicectl` itself came with 15.
MINIMUM_XCODE = (16,)
KINDS = ("iPhone", "iPad")

#: The team that signs the runner app, the identifier it is signed with, a provisioning profile instead of a team.
TEAM_VARIABLE = "COREML_HARNESS_DEVELOPMENT_TEAM"
BUNDLE_VARIABLE = "COREML_HARNESS_BUNDLE_IDENTIFIER"
PROFILE_VARIABLE = "COREML_HARNESS_PROVISIONING_PROFILE"

GET_XCODE = (
    f"install Xcode {host.dotted(MINIMUM_XCODE)} or later from the App Store, open it once, "
    "then `sudo xcode-select -s /Applications/Xcode.app`"
)
ONE_PROCESS = "a connected device answers one at a time (pytest: -n 0)"
CHOOSE_TEAM = f"sign in to Xcode > Settings > Accounts and set {TEAM_VARIABLE} to the 10 characters of the team"


#: Seconds for one question to `devicectl`, and for which its list of devices is believed.
_QUESTION = 60.0
_BELIEVED = 60.0


class DevicesUnknown(Exception):
    """`devicectl` cannot be asked; the message says what is missing and what to do."""


@dataclass(frozen=True)
class ConnectedDevice:
    """One iPhone or iPad. `state` is that of the tunnel to it; `developer_mode` is None where it is not told."""

    name: str
    kind: str
    model: str
    ios: tuple[int, ...]
    build: str
    state: str
    paired: bool
    developer_mode: bool | None
    identifier: str
    udid: str

    @property
    def reachable(self) -> bool:
        """A paired device whose tunnel is merely down is reached by the first command sent to it."""
        return self.state == "connected" or (self.state in ("disconnected", "connecting") and self.paired)

    @property
    def has_ane(self) -> bool:
        """Whether Core ML can use a Neural Engine there, which it can from the A12 on (iPhone11,x and iPad8,x)."""
        generation = re.match(r"(?:iPhone|iPad)(\d+),", self.model)
        return generation is None or int(generation[1]) >= (8 if self.kind == "iPad" else 11)

    @property
    def system(self) -> str:
        return f"{'iPadOS' if self.kind == 'iPad' else 'iOS'} {host.dotted(self.ios)}"

    def problem(self) -> str | None:
        """What stands in the way of using it, and what to do; None when nothing does."""
        if not self.paired and self.state != "connected":
            return "not paired: connect it by cable, unlock it and answer Trust"
        if not self.reachable:
            return f"not connected ({self.state}): connect it by cable and unlock it"
        if self.developer_mode is False:
            return "not in developer mode: switch it on in Settings > Privacy & Security > Developer Mode"
        if self.ios < MINIMUM_IOS_FOR_RUNNER:
            needed = host.dotted(MINIMUM_IOS_FOR_RUNNER)
            return f"too old ({self.system}): the runner app of coremltools needs {needed} or later"
        return None

    def describe(self) -> str:
        return f"{self.name} ({self.model}, {self.system})"


def unavailable(unit: UnitSpec, target: str | None) -> str | None:
    """Why a unit of kind `device` cannot run a program for `target` (None: any); None when it can."""
    if host.macos_version() is None:
        return f"a connected device needs a Mac with Xcode; this is {host.system_name()}"
    if reason := host.coreml_unavailable(str(Unit.ALL), target):
        return f"the program is compiled on this Mac first: {reason}"
    try:
        device = find(unit.device, devices())
    except DevicesUnknown as error:
        return str(error)
    if unit.core_ml_unit == Unit.CPU_AND_NE and not device.has_ane:
        return f"{device.describe()} has no Neural Engine for Core ML: {unit.core_ml_unit} would be the CPU"
    return too_old(device, target)


def too_old(device: ConnectedDevice, target: str | None) -> str | None:
    """Why the device cannot load a program for `target`; raises `ValueError` for a target nobody knows."""
    if target is None:
        return None
    if target not in MINIMUM_IOS:
        raise ValueError(f"unknown deployment target {target!r}; known: {', '.join(MINIMUM_IOS)}")
    needed = MINIMUM_IOS[target]
    if device.ios >= needed:
        return None
    return f"an {target} program needs iOS {host.dotted(needed)} or later; {device.name} has {device.system}"


def find(name: str, known: Sequence[ConnectedDevice]) -> ConnectedDevice:
    """The usable device of exactly that name; raises `DevicesUnknown` naming those there are."""
    named = [device for device in known if _plain(device.name) == _plain(name)]
    if not named:
        raise DevicesUnknown(f"no connected iPhone or iPad is named {name!r}; {listing(known)}")
    if len({device.udid for device in named}) > 1:
        raise DevicesUnknown(f"{len(named)} devices are named {name!r}: rename one in Settings > General > About")
    if problem := named[0].problem():
        raise DevicesUnknown(f"{name} is {problem}")
    return named[0]


def listing(known: Sequence[ConnectedDevice]) -> str:
    """`connected: A, B; not in developer mode: C`, for a message about another name."""
    usable = [device.name for device in known if device.problem() is None]
    others = [f"{device.name} is {device.problem()}" for device in known if device.problem() is not None]
    return "; ".join([f"connected: {', '.join(usable)}" if usable else "none is connected", *others])


def _plain(name: str) -> str:
    """iOS names devices with a typographic apostrophe, which nobody types."""
    return name.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")


# -- asking -------------------------------------------------------------------------------------------------------

_believed: tuple[float, list[ConnectedDevice]] | None = None


def devices(*, anew: bool = False) -> list[ConnectedDevice]:
    """iPhones and iPads known to this Mac; an answer is believed for a minute. Raises `DevicesUnknown`."""
    global _believed
    if anew or _believed is None or time.monotonic() - _believed[0] > _BELIEVED:
        _believed = (time.monotonic(), parse(ask("list", "devices")))
    return _believed[1]


def parse(answer: Mapping[str, Any]) -> list[ConnectedDevice]:
    """Devices in the JSON answer of `devicectl list devices`; those of other kinds are left out."""
    found = []
    for entry in answer.get("result", {}).get("devices", []):
        properties, hardware = entry.get("deviceProperties", {}), entry.get("hardwareProperties", {})
        connection = entry.get("connectionProperties", {})
        mode = properties.get("developerModeStatus")
        device = ConnectedDevice(
            name=properties.get("name", ""),
            kind=hardware.get("deviceType", ""),
            model=hardware.get("productType") or hardware.get("marketingName") or hardware.get("deviceType", ""),
            ios=host.parse_version(properties.get("osVersionNumber", "")),
            build=properties.get("osBuildUpdate", ""),
            state=connection.get("tunnelState", "unknown").lower(),
            paired=connection.get("pairingState", "paired") == "paired",
            developer_mode=None if not mode else mode == "enabled",
            identifier=entry.get("identifier", ""),
            udid=hardware.get("udid", ""),
        )
        if device.kind in KINDS and device.name and device.udid:
            found.append(device)
    return sorted(found, key=lambda device: device.name)


def reach(device: ConnectedDevice) -> ConnectedDevice:
    """The device with its tunnel up, which coremltools insists on. Raises `DevicesUnknown`."""
    if device.state != "connected":
        ask("device", "info", "details", "-d", device.identifier)  # any command to the device brings the tunnel up
        device = find(device.name, devices(anew=True))
    if device.state != "connected":
        raise DevicesUnknown(f"{device.name} is {device.state} and does not connect: unlock it, or plug it in again")
    if is_locked(device):
        raise DevicesUnknown(f"{device.name} is locked: unlock it and keep it unlocked during the run")
    return device


def is_locked(device: ConnectedDevice) -> bool:
    """Whether it says so; a `devicectl` without that question leaves it to the start of the runner app."""
    try:
        answer = ask("device", "info", "lockState", "-d", device.identifier)
    except DevicesUnknown:
        return False
    return bool(answer.get("result", {}).get("passcodeRequired", False))


def still_there(device: ConnectedDevice) -> bool:
    """Whether the device answers now."""
    try:
        return any(d.udid == device.udid and d.reachable for d in devices(anew=True))
    except DevicesUnknown:
        return False


def ask(*arguments: str, timeout: float = _QUESTION) -> dict[str, Any]:
    """The JSON answer of `xcrun devicectl`; raises `DevicesUnknown` with its own words."""
    find_tool()
    with tempfile.TemporaryDirectory(prefix="coreml-harness-") as folder:
        answer = Path(folder) / "answer.json"
        command = ["xcrun", "devicectl", *arguments, "-j", str(answer)]
        try:
            subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=True)
            return json.loads(answer.read_text())
        except subprocess.CalledProcessError as error:
            said = last_error(error.stderr) or f"exit code {error.returncode}"
            raise DevicesUnknown(f"devicectl {' '.join(arguments[:2])}: {said}") from None
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            raise DevicesUnknown(f"devicectl {' '.join(arguments[:2])}: {error}") from None


def last_error(text: str) -> str:
    """The line of a command's standard error that says why, empty when none does."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return next((line for line in lines if line.startswith("ERROR:")), lines[-1] if lines else "")


def find_tool() -> Path:
    """The `devicectl` of the selected Xcode. Raises `DevicesUnknown`.

    coremltools 9.0 looks for it on the path, where Xcode does not put it: so its folder is added there, last.
    """
    if found := shutil.which("devicectl"):
        return Path(found)
    try:
        done = subprocess.run(["xcrun", "--find", "devicectl"], capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        raise DevicesUnknown(f"devicectl not found: {GET_XCODE}") from None
    found = done.stdout.strip()
    os.environ["PATH"] = os.pathsep.join(filter(None, [os.environ.get("PATH"), str(Path(found).parent)]))
    return Path(found)


# -- signing ------------------------------------------------------------------------------------------------------

_ORGANIZATIONAL_UNIT = b"\x06\x03\x55\x04\x0b"  # DER of OID 2.5.4.11, which holds the team in Apple's certificates
_TEAM = re.compile(r"[A-Z0-9]{10}")


def signing_teams() -> list[str]:
    """Team identifiers of the development certificates in the keychain; a team may have none yet."""
    command = ["security", "find-certificate", "-a", "-c", "Apple Development", "-p"]
    try:
        text = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    blocks = re.findall(r"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", text, re.DOTALL)
    return sorted({team for block in blocks for team in _organizational_units(base64.b64decode(block))})


def _organizational_units(certificate: bytes) -> list[str]:
    found = []
    for part in certificate.split(_ORGANIZATIONAL_UNIT)[1:]:
        value = part[2 : 2 + part[1]].decode("ascii", "replace") if len(part) > 1 else ""  # tag, length, value
        if _TEAM.fullmatch(value):
            found.append(value)
    return found


@dataclass(frozen=True)
class Signing:
    """Who signs the runner app. An identifier belongs to the team that registered it first, so each has its own."""

    team: str | None
    bundle: str
    profile: str | None = None


def signing(environment: Mapping[str, str] = os.environ) -> Signing:
    """From the environment, else the one team in the keychain. Raises `DevicesUnknown` when that does not decide it."""
    team, bundle, profile = (environment.get(name) for name in (TEAM_VARIABLE, BUNDLE_VARIABLE, PROFILE_VARIABLE))
    for name in (TEAM_VARIABLE, BUNDLE_VARIABLE, PROFILE_VARIABLE):
        if not re.fullmatch(r"[A-Za-z0-9.-]*", environment.get(name, "")):  # part of a shell command of coremltools
            raise DevicesUnknown(f"{name} is {environment[name]!r}: expected letters, digits, dots and hyphens")
    if profile:
        if not bundle:
            raise DevicesUnknown(f"{PROFILE_VARIABLE} needs {BUNDLE_VARIABLE}, the identifier the profile is for")
        return Signing(None, bundle, profile)
    if not team:
        teams = signing_teams()
        if len(teams) != 1:
            found = f"several signing teams ({', '.join(teams)})" if teams else "no signing team found"
            raise DevicesUnknown(f"{found}: {CHOOSE_TEAM}")
        team = teams[0]
    return Signing(team, bundle or f"com.coremltools.modelrunnerd.{team.lower()}")
