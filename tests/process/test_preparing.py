from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.evidence.unit import UnitSpec
from harness.evidence.vocabulary import HarnessError
from harness.process import preparing
from harness.process.child import Child
from harness.units import devicectl, registry, runner_app
from harness.units.base import NotRunnable
from harness.units.devicectl import ConnectedDevice

PHONE = ConnectedDevice(
    name="Anna\N{RIGHT SINGLE QUOTATION MARK}s iPhone",
    kind="iPhone",
    model="iPhone16,1",
    ios=(18, 5),
    build="22F76",
    state="connected",
    paired=True,
    developer_mode=True,
    identifier="ID",
    udid="U1",
)
TESTS = Path(__file__).resolve().parents[1]
UNITS = [UnitSpec.parse(name) for name in ("reference", "device:Anna's iPhone", "device:Anna's iPhone:cpu_only")]


def test_a_device_answers_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    prepared: list[str] = []
    monkeypatch.setattr(devicectl, "unavailable", lambda unit, target: None)
    monkeypatch.setattr(devicectl, "devices", lambda: [PHONE])
    monkeypatch.setattr(preparing, "prepare_device", lambda name, show: prepared.append(name))
    with pytest.raises(HarnessError, match="a connected device answers one at a time"):
        preparing.prepare(UNITS, print, processes=2)
    preparing.prepare([UnitSpec.parse("reference"), UnitSpec.parse("cpu_only")], print, processes=2)
    assert prepared == []
    preparing.prepare(UNITS, print)
    assert prepared == ["Anna's iPhone"]
    described = {"model": "iPhone16,1", "system": "iOS 18.5", "build": "22F76"}
    assert registry.connected(UNITS) == {"Anna's iPhone": described}


def test_a_device_that_cannot_run_is_not_prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devicectl, "unavailable", lambda unit, target: "not connected")
    monkeypatch.setattr(preparing, "prepare_device", lambda name, show: pytest.fail("prepared"))
    preparing.prepare(UNITS, print, processes=2)
    assert registry.connected(UNITS) == {}


# The child that prepares, with a preparer of the tests' own in the place of the runner app's.


@pytest.fixture
def fake_preparer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    monkeypatch.setattr(preparing, "PREPARER", "fake_handler:make_preparer")


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> list[Child]:
    """Those that were started."""
    made: list[Child] = []

    def started(handler: str) -> Child:
        made.append(Child(handler))
        return made[-1]

    monkeypatch.setattr(preparing, "Child", started)
    return made


@pytest.mark.usefixtures("fake_preparer")
def test_what_is_done_on_the_way_is_shown(children: list[Child]) -> None:
    shown: list[str] = []
    preparing.prepare_device("Anna's iPhone", shown.append)
    assert shown == ["building for Anna's iPhone"]
    assert [child.has_ended() for child in children] == [True]


@pytest.mark.usefixtures("fake_preparer")
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("refused", "no signing identity"),
        ("raises", "preparing raises failed: RuntimeError: xcodebuild is gone"),
        ("exit", "preparing exit ended with exit code 3"),
        ("llvm", "preparing llvm ended with SIGABRT: LLVM ERROR: Failed to infer result type(s)."),
        ("hang", "preparing hang ended with no answer within 0.5 s: in <lambda> (fake_handler.py:"),
    ],
)
def test_a_device_that_cannot_be_prepared_is_one_line(
    name: str, told: str, children: list[Child], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparing, "PREPARE_DEADLINE", 0.5 if name == "hang" else 60)
    shown: list[str] = []
    with pytest.raises(HarnessError) as caught:
        preparing.prepare_device(name, shown.append)
    assert str(caught.value).startswith(told)
    assert "\n" not in str(caught.value)
    assert shown == [f"building for {name}"]
    assert [child.has_ended() for child in children] == [True]


def test_a_preparer_that_cannot_be_made_is_one_line(children: list[Child], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparing, "PREPARER", "harness.units.runner_app:no_such_preparer")
    with pytest.raises(HarnessError, match=r"^preparing Anna failed: AttributeError: .*no_such_preparer") as caught:
        preparing.prepare_device("Anna", print)
    assert "\n" not in str(caught.value)
    assert [child.has_ended() for child in children] == [True]


def test_a_name_that_no_connected_device_has_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """The preparer itself, in this process: what the app cannot do is refused, as a request is."""

    def nothing(name: str, show: Callable[[str], None]) -> runner_app.RunnerApp:
        raise NotRunnable(f"no device {name} is connected")

    monkeypatch.setattr(runner_app, "connect", nothing)
    with pytest.raises(HarnessError, match=r"^no device Anna is connected$"):
        runner_app.make_preparer()({"device": "Anna"}, lambda message: None)
