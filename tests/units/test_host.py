from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import pytest

from harness.units import host

UNITS = ["cpu_only", "cpu_and_gpu", "cpu_and_ne", "all"]


@pytest.fixture
def mac(monkeypatch):
    """A Mac of some version, with or without coremltools' native module."""

    def be(version: tuple[int, ...], native: bool = True) -> None:
        monkeypatch.setattr(host, "macos_version", lambda: version)
        monkeypatch.setattr(host, "has_native_module", lambda: native)

    return be


@pytest.mark.parametrize("unit", UNITS)
def test_not_a_mac(unit: str, monkeypatch) -> None:
    monkeypatch.setattr(host, "macos_version", lambda: None)
    monkeypatch.setattr(host.platform, "system", lambda: "Linux")
    assert host.coreml_unavailable(unit, "iOS18") == "Core ML predicts only on macOS; this is Linux"


@pytest.mark.parametrize(
    ("target", "oldest", "too_old"),
    [
        ("iOS15", (12, 0), (11, 7)),
        ("iOS16", (13, 0), (12, 7)),
        ("iOS17", (14, 0), (13, 6)),
        ("iOS18", (15, 0), (14, 7)),
        ("iOS26", (26, 0), (15, 7)),
    ],
)
def test_each_target_has_its_oldest_macos(target, oldest, too_old, mac) -> None:
    mac(oldest)
    assert host.coreml_unavailable("all", target) is None
    mac(too_old)
    reason = host.coreml_unavailable("all", target)
    assert reason == f"an {target} program needs macOS {oldest[0]} or later; this is macOS {too_old[0]}.{too_old[1]}"


def test_the_neural_engine_cannot_be_requested_on_macos_12(mac) -> None:
    mac((12, 6))
    assert host.coreml_unavailable("cpu_only", "iOS15") is None
    assert host.coreml_unavailable("cpu_and_ne", "iOS15") == "cpu_and_ne needs macOS 13 or later; this is macOS 12.6"


def test_native_module_missing_on_a_mac(mac) -> None:
    mac((15, 1), native=False)
    assert "without its native module" in (host.coreml_unavailable("all", "iOS18") or "")


def test_unknown_target_is_named() -> None:
    with pytest.raises(ValueError, match="iOS99"):
        host.coreml_unavailable("all", "iOS99")


def test_simulated_host_is_told_by_its_marker(monkeypatch) -> None:
    real = ModuleType(host.NATIVE_MODULE)
    monkeypatch.setitem(sys.modules, host.NATIVE_MODULE, real)
    assert host.has_native_module()
    assert not host.is_simulated_host()
    real.simulated_macos = (14, 4)
    assert host.is_simulated_host()
    assert host.macos_version() == (14, 4)


@pytest.mark.parametrize(("text", "version"), [("15.5", (15, 5)), ("26.0.1", (26, 0, 1)), ("14.4b", (14,)), ("", ())])
def test_versions(text: str, version: tuple[int, ...]) -> None:
    assert host.parse_version(text) == version


def test_an_interpreter_told_10_16_asks_the_system(monkeypatch) -> None:
    monkeypatch.setattr(host.sys, "platform", "darwin")
    monkeypatch.setattr(host.platform, "mac_ver", lambda: ("10.16", ("", "", ""), "arm64"))
    answer = subprocess.CompletedProcess([], 0, stdout="15.5\n")
    monkeypatch.setattr(host.subprocess, "run", lambda *args, **kwargs: answer)
    assert host._real_macos_version.__wrapped__() == (15, 5)


def test_asking_imports_neither_torch_nor_coremltools() -> None:
    code = (
        "import sys; from harness.units import host; host.coreml_unavailable('all', 'iOS18'); host.has_native_module();"
        "print(sorted({'torch', 'coremltools', 'executorch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
