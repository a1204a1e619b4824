"""A connected device through coremltools' own device tools: the commands, the runner app and Core ML are simulated."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.evidence.unit import UnitSpec
from harness.lowering.program import UnpackedDelegate
from harness.units import host
from harness.units.base import NotRunnable
from harness.units.device import STATE, DeviceUnit

#: One worker waits for what these tests share; the others go on.
pytestmark = pytest.mark.xdist_group("device")
SIMULATED = Path(__file__).parents[1] / "simulated"
UNITS = ["Test iPhone", "Test iPhone:cpu_only"]
OPERATORS = ["gelu", "two_outputs", "float16", "integer", "rank_0", "bool_output", "bool_input"]
CLOSE = {"rtol": 4e-3, "atol": 4e-3}


@pytest.fixture(scope="session")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The scenarios' results; xdist's workers share one run."""
    root = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        root = root.parent
    answer = root / "simulated-device.json"
    with open(root / "simulated-device.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not answer.exists():
            answer.write_text(_on_simulated_device(tmp_path_factory.mktemp("device")))
    return json.loads(answer.read_text())


def _on_simulated_device(folder: Path) -> str:
    scenarios = [sys.executable, str(SIMULATED / "device_scenarios.py"), str(folder)]
    command = [sys.executable, str(SIMULATED / "run.py"), "--", *scenarios]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "loop is closed" not in done.stderr
    assert "never awaited" not in done.stderr
    return done.stdout


@pytest.mark.skipif(sys.platform == "darwin", reason="a Mac may have a device")
def test_elsewhere_there_is_none(tmp_path: Path) -> None:
    unit = DeviceUnit(UnitSpec.parse("device:Test iPhone:cpu_and_ne"))
    assert str(unit.unit) == "device:Test iPhone:cpu_and_ne"
    assert unit.unavailable("iOS18") == f"a connected device needs a Mac with Xcode; this is {host.system_name()}"
    with pytest.raises(NotRunnable, match="needs a Mac with Xcode"):
        unit.open(UnpackedDelegate(tmp_path, (), ()))


# -- predicting ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("operator", OPERATORS)
def test_the_user_gets_what_eager_gives(operator: str, unit: str, seen) -> None:
    """Bit for bit what the executor on the device computed, though it came back with padded rows."""
    result = seen["operators"][operator]
    assert result[unit]["equals_reference"]
    _close(result[unit]["outputs"], result["eager"])


def test_three_outputs_of_two_types(seen) -> None:
    """The app gives a wrong size for each but the first."""
    _close(seen["outputs"]["got"], seen["outputs"]["eager"])


def _close(got: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    assert [(g["dtype"], g["shape"]) for g in got] == [(e["dtype"], e["shape"]) for e in expected]
    for g, e in zip(got, expected, strict=True):
        if "float" in e["dtype"]:
            np.testing.assert_allclose(g["values"], e["values"], **CLOSE)
        else:
            assert g["values"] == e["values"]


def test_a_program_with_state_is_not_run(seen) -> None:
    assert (seen["state"]["error"], seen["state"]["message"]) == ("NotRunnable", STATE)


# -- placement ----------------------------------------------------------------------------------------------------


def test_the_plan_of_the_device_is_joined_to_aten(seen) -> None:
    gelu = seen["operators"]["gelu"]
    on_all = {"preferred": "ane", "supported": ["cpu", "gpu", "ane"], "cost": 0.5}
    assert gelu["Test iPhone"]["aten_placement"] == {"aten.gelu.default": on_all}
    on_cpu = {"preferred": "cpu", "supported": ["cpu"], "cost": 0.5}
    assert gelu["Test iPhone:cpu_only"]["placement"] == {"cast": on_cpu, "gelu": on_cpu}
    assert gelu["Test iPhone"]["notes"] == []


def test_an_ane_asked_for_and_not_placed_is_noted(seen) -> None:
    integer = seen["operators"]["integer"]
    assert integer["Test iPhone"]["notes"] == ["ANE requested, not placed there: aten.add.Tensor (on cpu)"]
    assert integer["Test iPhone:cpu_only"]["notes"] == []


def test_an_operator_of_several_outputs_is_placed(seen) -> None:
    assert "split" in seen["outputs"]["placed"]


@pytest.mark.parametrize(
    ("scenario", "note"),
    [
        ("no_plan", "placement unknown: the compute plan failed to load: Unsupported request: MLComputePlan is not"),
        ("old_system", "placement unknown: a compute plan needs iOS 17.4 or later"),
        (
            "dies_on_plan",
            "placement unknown: asking for the compute plan ended the app: the runner app on Test iPhone died while",
        ),
    ],
)
def test_a_plan_that_cannot_be_had_costs_the_placement_alone(scenario: str, note: str, seen) -> None:
    result = seen["faults"]["no_plan"] if scenario == "no_plan" else seen[scenario]
    assert [text[: len(note)] for text in result["notes"]] == [note]
    assert result["placement"] == {}
    assert result["distance"] < CLOSE["atol"]


# -- faults -------------------------------------------------------------------------------------------------------


def test_a_wrong_value_comes_through(seen) -> None:
    assert seen["faults"]["wrong_value"]["distance"] == pytest.approx(1, abs=CLOSE["atol"])
    assert seen["faults"]["wrong_value"]["notes"] == []


def test_another_second_answer_is_noted(seen) -> None:
    (note,) = seen["faults"]["second_answer"]["notes"]
    assert note.startswith("non_deterministic: output aten_gelu_default: 1 of 6 elements")


@pytest.mark.parametrize(
    ("scenario", "error", "message"),
    [
        ("load_error", "LoadFailed", "Error in declaring network: simulated"),
        ("predict_error", "PredictFailed", "Failed to evaluate model 0 in pipeline: simulated"),
    ],
)
def test_core_ml_s_own_words(scenario: str, error: str, message: str, seen) -> None:
    result = seen["faults"][scenario]
    assert (result["error"], result["message"]) == (error, message)


@pytest.mark.parametrize(("scenario", "doing"), [("dies_on_load", "loading"), ("dies_on_prediction", "predicting")])
def test_an_app_that_dies_is_a_crash(scenario: str, doing: str, seen) -> None:
    result = seen[scenario]
    assert (result["error"], result["message"]) == ("UnitDied", f"the runner app on Test iPhone died while {doing}")


def test_a_device_that_is_lost_judges_nothing(seen) -> None:
    during, afterwards = seen["lost"]["during"], seen["lost"]["afterwards"]
    assert during["error"] == afterwards["error"] == "NotRunnable"
    assert during["message"] == "the connection to Test iPhone was lost while loading"
    assert afterwards["message"].startswith("Test iPhone is not connected (unavailable): connect it by cable")


# -- the runner app -----------------------------------------------------------------------------------------------


def test_an_app_that_no_longer_installs_is_built_anew(seen) -> None:
    assert seen["expired"]["rebuilt"]
    assert seen["expired"]["alive"]
    assert seen["expired"]["shown"][0] == "Test iPad (iPad14,8, iPadOS 18.5): starting the runner app of coremltools"


@pytest.mark.parametrize(
    ("scenario", "message"),
    [
        ("no_team", "no signing team found: sign in to Xcode > Settings > Accounts and set COREML_HARNESS_DEVELOPMENT"),
        ("wrong_team", 'building the runner app failed: No Account for Team "WRONG12345". Add a new account in'),
        ("not_tried_again", 'building the runner app failed: No Account for Team "WRONG12345". Add a new account in'),
    ],
)
def test_an_app_that_cannot_be_built_says_why(scenario: str, message: str, seen) -> None:
    result = seen["unsigned"][scenario]
    assert (result["error"], result["message"][: len(message)]) == ("NotRunnable", message)


def test_a_locked_device_and_one_in_use(seen) -> None:
    assert seen["locked"]["message"] == "Locked is locked: unlock it and keep it unlocked during the run"
    in_use = "Test iPad is in use by another process: a connected device answers one at a time (pytest: -n 0)"
    assert (seen["in_use"]["error"], seen["in_use"]["message"]) == ("NotRunnable", in_use)


def test_nothing_is_left_behind(seen) -> None:
    assert seen["left"] == {"data": [], "exchange": [], "threads": [], "loop": False}
