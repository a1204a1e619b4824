from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from harness import doctor
from harness.doctor import Facts, Finding, Level, diagnose, exit_code

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
)
CORE_ML_UNITS = ["cpu_only", "cpu_and_gpu", "cpu_and_ne", "all"]


def about(facts: Facts, subject: str) -> Finding:
    (finding,) = [finding for finding in diagnose(facts) if finding.subject == subject]
    return finding


def test_linux_runs_the_reference_unit_and_says_why_no_other() -> None:
    assert exit_code(diagnose(LINUX)) == 0
    assert about(LINUX, "unit reference").level is Level.OK
    for unit in CORE_ML_UNITS:
        assert "only on macOS; this is Linux" in about(LINUX, f"unit {unit}").text
    assert "without CoreMLBackend" in about(LINUX, "unit executorch").text
    assert not [f for f in diagnose(LINUX) if f.level is Level.WARNING]
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


def test_what_is_asked_is_read_from_the_installed_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    requires = {
        "executorch": ["coremltools==9.0; python_version >= '3'", "torch==1; extra == 'x'", "pandas>=2", "numpy"],
        "coremltools": ["Numpy>=1.14.5"],
    }
    monkeypatch.setattr(doctor, "version_of", lambda name: "1" if name in requires else None)
    monkeypatch.setattr(doctor.importlib.metadata, "requires", requires.__getitem__)
    assert list(doctor.asked()) == [("executorch", "coremltools", "==9.0"), ("coremltools", "numpy", ">=1.14.5")]


@pytest.mark.parametrize(
    ("macos", "targets"),
    [
        ((13, 6), "iOS15, iOS16"),
        ((14, 7), "iOS15, iOS16, iOS17"),
        ((26, 0), "iOS15, iOS16, iOS17, iOS18, iOS26"),
    ],
)
def test_targets_follow_the_system(macos: tuple[int, ...], targets: str) -> None:
    facts = replace(MAC, macos=macos)
    assert about(facts, "macOS").level is Level.OK
    assert about(facts, "unit all").text == f"runs programs for {targets}"


def test_macos_12_is_older_than_the_backend_asks_for() -> None:
    facts = replace(MAC, macos=(12, 6))
    assert about(facts, "macOS") == Finding(Level.WARNING, "macOS", "12.6; the Core ML backend asks for 13 or later")
    assert about(facts, "unit cpu_only").text == "runs programs for iOS15"
    assert about(facts, "unit cpu_and_ne").text == "cannot run: needs macOS 13 or later"
    assert exit_code(diagnose(facts)) == 0


def test_macos_11_runs_no_ml_program() -> None:
    facts = replace(MAC, macos=(11, 7))
    assert about(facts, "unit cpu_only") == Finding(
        Level.WARNING, "unit cpu_only", "cannot run: this macOS loads no ML Program"
    )


@pytest.mark.parametrize(
    ("xcode", "level", "text"),
    [
        (None, Level.WARNING, "not found; the Core ML backend asks for 14.1 or later"),
        ("14.0.1", Level.WARNING, "14.0.1; the Core ML backend asks for 14.1 or later"),
        ("14.1", Level.OK, "14.1"),
        ("26.0", Level.OK, "26.0"),
    ],
)
def test_xcode(xcode: str | None, level: Level, text: str) -> None:
    assert about(replace(MAC, xcode=xcode), "Xcode") == Finding(level, "Xcode", text)


def test_command_line_tools() -> None:
    missing = about(replace(MAC, developer_dir=None), "Command Line Tools")
    assert missing.level is Level.WARNING
    assert "xcode-select --install" in missing.text


def test_a_virtual_mac_has_no_neural_engine() -> None:
    assert "no Neural Engine" in about(replace(MAC, virtual_machine=True), "virtual machine").text


def test_an_intel_mac_has_no_neural_engine() -> None:
    assert "no Neural Engine" in about(replace(MAC, machine="x86_64"), "x86_64").text


def test_a_mac_without_the_native_module() -> None:
    facts = replace(MAC, native_module=False)
    for unit in CORE_ML_UNITS:
        assert about(facts, f"unit {unit}").text == "cannot run: coremltools lacks its native module"
    assert about(facts, "unit reference").level is Level.OK


@pytest.mark.parametrize("name", ["torch", "executorch", "coremltools", "numpy"])
def test_what_the_reference_unit_needs_decides_the_exit_code(name: str) -> None:
    facts = replace(LINUX, versions={**VERSIONS, name: None})
    assert exit_code(diagnose(facts)) == 1
    assert about(facts, "unit reference").text == f"cannot run: {name} not installed"


def test_an_optional_package_does_not() -> None:
    assert about(LINUX, "torchvision") == Finding(Level.INFO, "torchvision", "not installed (optional)")


def test_another_version_than_pinned_is_a_warning_and_a_local_build_is_not() -> None:
    assert about(LINUX, "torch") == Finding(Level.OK, "torch", "2.13.0+cpu")
    other = about(replace(LINUX, versions={**VERSIONS, "coremltools": "8.3"}), "coremltools")
    assert other.level is Level.WARNING
    assert "8.3, made for 9.0" in other.text


def test_the_simulated_host_says_so() -> None:
    assert about(replace(MAC, simulated=True), "unit all").text.startswith("SIMULATED")


def test_an_unwritable_cache() -> None:
    assert about(replace(LINUX, cache_writable=False), "cache").level is Level.WARNING


def test_pins_are_exact_requirements_only() -> None:
    lines = ["torch==2.13.0", "numpy<3,>=2.0", 'torchvision==0.28.0; extra == "models"', "PyYAML (==6.0)"]
    assert doctor.pins(lines) == {"torch": "2.13.0", "torchvision": "0.28.0", "pyyaml": "6.0"}


@pytest.mark.parametrize(
    ("text", "version"),
    [("Xcode 16.4\nBuild version 16F6\n", "16.4"), ("xcode-select: error: tool 'xcodebuild' requires Xcode", None)],
)
def test_xcodebuild_s_answer(text: str, version: str | None) -> None:
    assert doctor._xcode_version(text) == version


def test_a_command_that_is_not_there_is_no_answer() -> None:
    assert doctor._output("no-such-command-anywhere") is None


def test_the_cache_folder_is_judged_without_being_made(tmp_path) -> None:
    folder = tmp_path / "a" / "b"
    assert doctor._writable(folder)
    assert not folder.exists()
    (tmp_path / "file").write_text("")
    assert not doctor._writable(tmp_path / "file" / "b")


@pytest.mark.parametrize("chosen", [None, "somewhere"])
def test_the_cache_named_is_the_one_used(chosen: str | None, tmp_path, monkeypatch) -> None:
    from harness.lowering import cache

    monkeypatch.delenv(cache.LOCATION_VARIABLE, raising=False)
    if chosen:
        monkeypatch.setenv(cache.LOCATION_VARIABLE, str(tmp_path / chosen))
    assert doctor.gather().cache == str(cache.location())


def test_the_real_machine_is_diagnosed_without_importing_torch() -> None:
    code = (
        "import sys; from harness import doctor; code = doctor.run();"
        "print(sorted({'torch', 'coremltools', 'executorch'} & set(sys.modules)), code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert lines[-1] == "[] 0"
    assert any("unit reference" in line and "runs here" in line for line in lines)
