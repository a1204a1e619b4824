from __future__ import annotations

import pytest

from harness.commands import machine


def test_what_is_asked_is_read_from_the_installed_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    requires = {
        "executorch": ["coremltools==9.0; python_version >= '3'", "torch==1; extra == 'x'", "pandas>=2", "numpy"],
        "coremltools": ["Numpy>=1.14.5"],
    }
    monkeypatch.setattr(machine, "version_of", lambda name: "1" if name in requires else None)
    monkeypatch.setattr(machine.importlib.metadata, "requires", requires.__getitem__)
    assert list(machine.asked()) == [("executorch", "coremltools", "==9.0"), ("coremltools", "numpy", ">=1.14.5")]


def test_pins_are_exact_requirements_only() -> None:
    lines = ["torch==2.13.0", "numpy<3,>=2.0", 'torchvision==0.28.0; extra == "models"', "PyYAML (==6.0)"]
    assert machine.pins(lines) == {"torch": "2.13.0", "torchvision": "0.28.0", "pyyaml": "6.0"}


@pytest.mark.parametrize(
    ("text", "version"),
    [("Xcode 16.4\nBuild version 16F6\n", "16.4"), ("xcode-select: error: tool 'xcodebuild' requires Xcode", None)],
)
def test_xcodebuild_s_answer(text: str, version: str | None) -> None:
    assert machine._xcode_version(text) == version


def test_a_command_that_is_not_there_is_no_answer() -> None:
    assert machine._output("no-such-command-anywhere") is None


def test_the_cache_folder_is_judged_without_being_made(tmp_path) -> None:
    folder = tmp_path / "a" / "b"
    assert machine._writable(folder)
    assert not folder.exists()
    (tmp_path / "file").write_text("")
    assert not machine._writable(tmp_path / "file" / "b")


@pytest.mark.parametrize("chosen", [None, "somewhere"])
def test_the_cache_named_is_the_one_used(chosen: str | None, tmp_path, monkeypatch) -> None:
    from harness.lowering import cache

    monkeypatch.delenv(cache.LOCATION_VARIABLE, raising=False)
    if chosen:
        monkeypatch.setenv(cache.LOCATION_VARIABLE, str(tmp_path / chosen))
    assert machine.gather().cache == str(cache.location())
