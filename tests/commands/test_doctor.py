from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from harness.commands.doctor import Level, Remark, diagnose, exit_code
from harness.commands.machine import Facts
from harness.units.devicectl import ConnectedDevice

RUN = Path(__file__).parents[1] / "simulated" / "run.py"

VERSIONS = {"torch": "2.13.0+cpu", "executorch": "1.5.1", "coremltools": "9.0", "torchvision": None, "numpy": "2.4.6"}
PINS = {"torch": "2.13.0", "executorch": "1.5.1", "coremltools": "9.0"}

LINUX = Facts(system="Linux", machine="x86_64", python="3.11.7", versions=VERSIONS, pins=PINS, cache="~/.cache")
MAC = replace(
    LINUX,
    system="macOS",
    machine="arm64",
    native_module=True,
    runtime_has_coreml=True,
    macos=(15, 5),
    xcode="16.4",
    developer_dir="/Applications/Xcode.app/Contents/Developer",
    iphones=(),
)
PHONE = ConnectedDevice(
    name="Test iPhone",
    kind="iPhone",
    model="iPhone16,1",
    ios=(17, 6),
    build="21G80",
    state="connected",
    paired=True,
    developer_mode=True,
    identifier="ID",
    udid="UDID",
)
CORE_ML_UNITS = ["cpu_only", "cpu_and_gpu", "cpu_and_ne", "all"]


def about(facts: Facts, subject: str) -> Remark:
    (finding,) = [finding for finding in diagnose(facts) if finding.subject == subject]
    return finding


def test_linux_runs_the_reference_unit_and_says_why_no_other() -> None:
    assert exit_code(diagnose(LINUX)) == 0
    assert about(LINUX, "unit reference").level is Level.OK
    for unit in CORE_ML_UNITS:
        assert "only on macOS; this is Linux" in about(LINUX, f"unit {unit}").text
    assert "without CoreMLBackend" in about(LINUX, "unit executorch").text
    assert not [f for f in diagnose(LINUX) if f.level is Level.WARNING]
    assert about(LINUX, "unit device:<name>").text == "cannot run: needs a Mac with Xcode; this is Linux"
    assert not [f for f in diagnose(LINUX) if f.subject in ("macOS", "Xcode", "Command Line Tools")]


def test_a_complete_mac_has_nothing_to_complain_about() -> None:
    assert {finding.level for finding in diagnose(MAC)} == {Level.OK, Level.INFO}
    for unit in [*CORE_ML_UNITS, "executorch"]:
        assert about(MAC, f"unit {unit}").text == "runs programs for iOS15, iOS16, iOS17, iOS18"


def test_a_pin_of_two_numbers_is_met_by_three() -> None:
    facts = replace(LINUX, versions={**VERSIONS, "coremltools": "8.3.0"}, pins={"coremltools": "8.3"})
    assert about(facts, "coremltools").level is Level.OK


def test_a_version_that_another_package_does_not_ask_for_is_told() -> None:
    asked = (("executorch", "coremltools", "==9.0"), ("executorch", "torch", ">=2.12"))
    facts = replace(LINUX, versions={**VERSIONS, "coremltools": "8.3.0"}, pins={"coremltools": "8.3"}, asked=asked)
    assert about(facts, "coremltools").level is Level.WARNING
    assert about(facts, "coremltools").text.startswith("8.3.0; executorch 1.5.1 asks for ==9.0")
    assert about(facts, "torch").level is Level.OK
    assert about(replace(facts, versions=VERSIONS, pins=PINS), "coremltools").level is Level.OK
    assert exit_code(diagnose(facts)) == 0


@pytest.mark.parametrize(
    ("macos", "targets"),
    [
        ((13, 6), "iOS15, iOS16"),
        ((14, 7), "iOS15, iOS16, iOS17"),
        ((26, 0), "iOS15, iOS16, iOS17, iOS18, iOS26"),
    ],
)
def test_targets_follow_the_system(macos: tuple[int, ...], targets: str) -> None:
    assert about(replace(MAC, macos=macos), "unit all").text == f"runs programs for {targets}"


@pytest.mark.parametrize(
    ("macos", "plan", "state", "recipes"),
    [
        ((14, 3), Level.WARNING, Level.WARNING, "ask for --recipe fp32-ios17 --recipe fp16-ios17"),
        ((14, 4), Level.OK, Level.WARNING, "ask for --recipe fp32-ios17 --recipe fp16-ios17"),
        ((15, 0), Level.OK, Level.OK, "the default ones load here: fp32-ios18 and fp16-ios18"),
    ],
)
def test_what_comes_with_a_system(macos: tuple[int, ...], plan: Level, state: Level, recipes: str) -> None:
    facts = replace(MAC, macos=macos)
    assert about(facts, "macOS").level is Level.OK
    assert about(facts, "compute plans").level is plan
    assert about(facts, "state").level is state
    assert about(facts, "recipes").text.endswith(recipes)


def test_macos_11_runs_no_ml_program() -> None:
    facts = replace(MAC, macos=(11, 7))
    assert about(facts, "unit cpu_only") == Remark(
        Level.WARNING, "unit cpu_only", "cannot run: this macOS loads no ML Program: update macOS"
    )
    assert about(facts, "recipes").text.endswith("they need macOS 15: update macOS")


@pytest.mark.parametrize(
    ("xcode", "level", "text"),
    [
        (None, Level.INFO, "not found; only device:<name> (16 or later) and building ExecuTorch"),
        ("15.4", Level.INFO, "15.4; only device:<name> (16 or later) and building ExecuTorch"),
        ("16.0", Level.OK, "16.0"),
        ("26.0", Level.OK, "26.0"),
    ],
)
def test_xcode_is_missed_by_a_device_only(xcode: str | None, level: Level, text: str) -> None:
    found = about(replace(MAC, xcode=xcode), "Xcode")
    assert (found.level, found.text[: len(text)]) == (level, text)


def test_command_line_tools() -> None:
    missing = about(replace(MAC, developer_dir=None), "Command Line Tools")
    assert missing.level is Level.WARNING
    assert "xcode-select --install" in missing.text


def test_a_virtual_mac_has_no_neural_engine() -> None:
    assert "no Neural Engine" in about(replace(MAC, virtual_machine=True), "virtual machine").text


def test_an_intel_mac_has_no_neural_engine() -> None:
    assert "no Neural Engine" in about(replace(MAC, machine="x86_64"), "x86_64").text


def test_an_intel_python_on_apple_silicon() -> None:
    found = about(replace(MAC, rosetta=True), "processor")
    assert found.level is Level.WARNING
    assert found.text.endswith("install an arm64 Python")


def test_a_mac_without_the_native_module() -> None:
    facts = replace(MAC, native_module=False)
    for unit in CORE_ML_UNITS:
        text = "cannot run: coremltools lacks its native module: install its macOS wheel, `python install.py`"
        assert about(facts, f"unit {unit}").text == text
    assert about(facts, "unit reference").level is Level.OK


@pytest.mark.parametrize(
    ("devices", "level", "text"),
    [
        (None, Level.INFO, "not asked: `coreml-harness doctor --devices` asks"),
        ((), Level.WARNING, "Core ML does not tell (it does from macOS 14)"),
        (("cpu", "gpu", "ane"), Level.OK, "cpu, gpu, ane"),
        (("cpu", "gpu"), Level.WARNING, "cpu, gpu: cpu_and_ne would be the CPU and is not run"),
        (("cpu",), Level.WARNING, "cpu: cpu_and_gpu, cpu_and_ne would be the CPU and is not run"),
    ],
)
def test_devices_of_core_ml(devices: tuple[str, ...] | None, level: Level, text: str) -> None:
    found = about(replace(MAC, core_ml_devices=devices), "Core ML's devices")
    assert (found.level, found.text[: len(text)]) == (level, text)


# -- connected devices --------------------------------------------------------------------------------------------


def test_a_device_that_is_ready() -> None:
    facts = replace(MAC, iphones=(PHONE,))
    assert about(facts, "unit device:<name>") == Remark(Level.OK, "unit device:<name>", "runs here: Test iPhone")
    text = "iPhone16,1, iOS 17.6: runs programs for iOS15, iOS16, iOS17"
    assert about(facts, "device Test iPhone") == Remark(Level.OK, "device Test iPhone", text)


def test_what_the_mac_cannot_compile_does_not_run_on_the_device() -> None:
    facts = replace(MAC, macos=(13, 6), iphones=(PHONE,))
    assert about(facts, "device Test iPhone").text == "iPhone16,1, iOS 17.6: runs programs for iOS15, iOS16"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"developer_mode": False}, "not in developer mode: switch it on in Settings > Privacy & Security"),
        ({"state": "disconnected", "paired": False}, "not paired: connect it by cable, unlock it and answer Trust"),
        ({"state": "unavailable"}, "not connected (unavailable): connect it by cable and unlock it"),
        ({"ios": (16, 7)}, "too old (iOS 16.7): the runner app of coremltools needs 17 or later"),
    ],
)
def test_a_device_that_is_not(change: dict, text: str) -> None:
    facts = replace(MAC, iphones=(replace(PHONE, **change),))
    assert about(facts, "unit device:<name>").text == "cannot run: no device is ready, see below"
    assert text in about(facts, "device Test iPhone").text
    ready = replace(facts, iphones=(*facts.iphones, replace(PHONE, name="Other")))
    assert about(ready, "unit device:<name>").text == "runs here: Other"


@pytest.mark.parametrize(
    ("change", "level", "text"),
    [
        ({}, Level.INFO, "no iPhone or iPad: connect one by cable"),
        ({"iphones": None, "iphones_unknown": "devicectl not found: install"}, Level.INFO, "cannot run: devicectl not"),
        ({"xcode": "15.4"}, Level.INFO, "cannot run: coremltools' runner app needs Xcode 16 or later: update it"),
        (
            {"iphones": (PHONE,), "signing_problem": "no signing team found: sign in"},
            Level.WARNING,
            "cannot run: no sig",
        ),
        ({"native_module": False}, Level.WARNING, "cannot run: coremltools lacks its native module"),
    ],
)
def test_what_a_device_needs_of_the_mac(change: dict, level: Level, text: str) -> None:
    found = about(replace(MAC, **change), "unit device:<name>")
    assert (found.level, found.text[: len(text)]) == (level, text)


# -- the rest -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["torch", "executorch", "coremltools", "numpy"])
def test_what_the_reference_unit_needs_decides_the_exit_code(name: str) -> None:
    facts = replace(LINUX, versions={**VERSIONS, name: None})
    assert exit_code(diagnose(facts)) == 1
    assert about(facts, "unit reference").text == f"cannot run: {name} not installed"


def test_an_optional_package_does_not() -> None:
    assert about(LINUX, "torchvision") == Remark(
        Level.INFO, "torchvision", "not installed (optional: `python install.py models`)"
    )


def test_another_version_than_pinned_is_a_warning_and_a_local_build_is_not() -> None:
    assert about(LINUX, "torch") == Remark(Level.OK, "torch", "2.13.0+cpu")
    other = about(replace(LINUX, versions={**VERSIONS, "coremltools": "8.3"}), "coremltools")
    assert other.level is Level.WARNING
    assert "8.3, made for 9.0" in other.text


def test_the_simulated_host_says_so() -> None:
    assert about(replace(MAC, simulated=True), "unit all").text.startswith("SIMULATED")


def test_an_unwritable_cache() -> None:
    assert about(replace(LINUX, cache_writable=False), "cache").level is Level.WARNING


def test_a_full_disk() -> None:
    found = about(replace(LINUX, temporary="/private/tmp", free=1 << 30), "disk")
    assert found.level is Level.WARNING
    assert found.text.startswith("1.0 GB free in /private/tmp; compiled models go there, 5 GB should be free")


# -- the command itself -------------------------------------------------------------------------------------------


def doctor(*play: str, **variables: str) -> tuple[int, dict[str, tuple[str, str]]]:
    """Exit code and lines, by subject, of `python -m harness doctor` on a simulated Mac."""
    command = [sys.executable, str(RUN), *play, "--", sys.executable, "-m", "harness", "doctor"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **variables})
    assert not done.stderr, done.stderr
    return done.returncode, lines(done.stdout)


def lines(report: str) -> dict[str, tuple[str, str]]:
    found = {}
    for line in report.splitlines()[1:]:
        level, rest = line.split(maxsplit=1)
        subject, _, text = rest.partition("  ")
        found[subject] = (level, text.strip())
    return found


SIMULATED = "SIMULATED, never evidence of hardware: "
NO_BACKEND = (
    "warning",
    (
        "cannot run Core ML delegates: the installed ExecuTorch runtime is built without CoreMLBackend: "
        "install the macOS wheel, `python install.py`"
    ),
)


def test_here_without_importing_torch() -> None:
    code = (
        "import sys; from harness.commands import doctor; code = doctor.run();"
        "print(sorted({'torch', 'coremltools', 'executorch', 'numpy'} & set(sys.modules)), code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    printed = done.stdout.splitlines()
    assert printed[-1] == "[] 0"
    assert lines("\n".join(printed[:-1]))["unit reference"] == ("ok", "runs here")


@pytest.mark.skipif(sys.platform == "darwin", reason="it is a Mac")
def test_on_linux() -> None:
    done = subprocess.run([sys.executable, "-m", "harness", "doctor"], capture_output=True, text=True)
    report = lines(done.stdout)
    assert done.returncode == 0
    assert report["unit reference"] == ("ok", "runs here")
    for unit in CORE_ML_UNITS:
        assert report[f"unit {unit}"] == ("info", "cannot run: Core ML predicts only on macOS; this is Linux")
    assert report["unit device:<name>"] == ("info", "cannot run: needs a Mac with Xcode; this is Linux")
    assert not {"macOS", "Xcode", "recipes", "compute plans", "processor"} & set(report)


def test_on_macos_12() -> None:
    code, report = doctor("--macos", "12.6")
    assert code == 0
    assert report["macOS"] == (
        "warning",
        (
            "12.6; the Core ML backend asks for 13 or later, the wheels of the pinned torch and ExecuTorch need 14: "
            "update macOS"
        ),
    )
    assert report["unit cpu_and_ne"] == ("warning", "cannot run: needs macOS 13 or later: update macOS")
    for unit in ("cpu_only", "cpu_and_gpu", "all"):
        assert report[f"unit {unit}"] == ("ok", f"{SIMULATED}runs programs for iOS15")
    assert report["unit executorch"] == NO_BACKEND
    assert report["recipes"] == (
        "warning",
        (
            "the default ones, fp32-ios18 and fp16-ios18, do not load here, they need macOS 15: "
            "ask for --recipe fp32-ios15 --recipe fp16-ios15"
        ),
    )
    for subject in ("compute plans", "state"):
        assert report[subject][0] == "warning"


def test_on_macos_13() -> None:
    code, report = doctor("--macos", "13.6")
    assert code == 0
    assert report["macOS"] == ("warning", "13.6; the wheels of the pinned torch and ExecuTorch need 14: update macOS")
    for unit in CORE_ML_UNITS:
        assert report[f"unit {unit}"] == ("ok", f"{SIMULATED}runs programs for iOS15, iOS16")
    assert report["recipes"][1].endswith("ask for --recipe fp32-ios16 --recipe fp16-ios16")
    plan = "only from macOS 14.4 on: update, or placement, and so the ANE, stays unknown"
    assert report["compute plans"] == ("warning", plan)
    assert report["state"] == ("warning", "only from macOS 15 on: update, or programs with state are not run")


def test_on_macos_15_with_a_device() -> None:
    phones = [
        {"name": "Test iPhone", "udid": "U1"},
        {"name": "Old iPad", "udid": "U2", "kind": "iPad", "model": "iPad7,5", "ios": "16.7"},
        {"name": "New iPad", "udid": "U3", "kind": "iPad", "model": "iPad14,8", "developer_mode": "disabled"},
        {"name": "Watch", "udid": "U4", "kind": "appleWatch", "model": "Watch7,1"},
    ]
    code, report = doctor("--macos", "15.5", COREML_SIMULATED_IPHONES=json.dumps(phones))
    assert code == 0
    assert report["macOS"] == ("ok", "15.5")
    assert report["processor"] == ("ok", "Apple silicon")
    assert report["Xcode"] == ("ok", "16.4")
    assert report["Command Line Tools"] == ("ok", "/Applications/Xcode.app/Contents/Developer")
    assert report["recipes"] == ("ok", "the default ones load here: fp32-ios18 and fp16-ios18")
    assert report["compute plans"][0] == report["state"][0] == "ok"
    for unit in CORE_ML_UNITS:
        assert report[f"unit {unit}"] == ("ok", f"{SIMULATED}runs programs for iOS15, iOS16, iOS17, iOS18")
    assert report["unit device:<name>"] == ("ok", f"{SIMULATED}runs here: Test iPhone")
    ready = "iPhone16,1, iOS 18.5: runs programs for iOS15, iOS16, iOS17, iOS18"
    assert report["device Test iPhone"] == ("ok", ready)
    too_old = "iPad7,5, iPadOS 16.7: too old (iPadOS 16.7): the runner app of coremltools needs 17 or later"
    assert report["device Old iPad"] == ("warning", too_old)
    assert "switch it on in Settings > Privacy & Security > Developer Mode" in report["device New iPad"][1]
    assert "device Watch" not in report


def test_without_xcode_nothing_but_the_device_is_lost() -> None:
    code, report = doctor("--macos", "15.5", "--no-xcode")
    assert code == 0
    get_it = (
        "install Xcode 16 or later from the App Store, open it once, "
        "then `sudo xcode-select -s /Applications/Xcode.app`"
    )
    uses = "only device:<name> (16 or later) and building ExecuTorch (14.1 or later) need it"
    assert report["Xcode"] == ("info", f"not found; {uses}: {get_it}")
    assert report["Command Line Tools"] == ("ok", "/Library/Developer/CommandLineTools")
    assert report["unit device:<name>"] == ("info", f"cannot run: devicectl not found: {get_it}")
    for unit in CORE_ML_UNITS:
        assert report[f"unit {unit}"] == ("ok", f"{SIMULATED}runs programs for iOS15, iOS16, iOS17, iOS18")
    lost = [subject for subject, (level, _) in report.items() if level != "ok" and subject.startswith("unit")]
    assert lost == ["unit executorch", "unit device:<name>"]


def test_a_virtual_mac_an_old_xcode_and_no_team() -> None:
    phones = json.dumps([{"name": "Test iPhone", "udid": "U1"}])
    played = {"COREML_SIMULATED_VM": "1", "COREML_SIMULATED_TEAMS": "", "COREML_SIMULATED_IPHONES": phones}
    _, report = doctor("--macos", "26.0", **played)
    assert "of the Core ML units only cpu_only is authoritative" in report["virtual machine"][1]
    assert "no signing team found: sign in to Xcode > Settings > Accounts" in report["unit device:<name>"][1]
    assert report["unit all"][1].endswith("iOS18, iOS26")
    _, report = doctor("--xcode", "15.4", COREML_SIMULATED_MACHINE="rosetta", COREML_SIMULATED_IPHONES=phones)
    assert report["processor"][0] == "warning"
    assert "needs Xcode 16 or later" in report["unit device:<name>"][1]
