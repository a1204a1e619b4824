"""The ExecuTorch unit where `CoreMLBackend` is registered: whole checks on the simulated runtime, in one child process.

The kernels of that runtime and its refusals are held against the real runtime of this machine.
"""

from __future__ import annotations

import base64
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

#: One worker waits for what these tests share; the others go on.
pytestmark = pytest.mark.xdist_group("executorch")
SIMULATED = Path(__file__).parents[1] / "simulated"
COMPUTE_UNITS = ["cpu_only", "cpu_and_gpu", "cpu_and_ne", "all"]
UNITS = ["executorch", *(f"executorch:{unit}" for unit in COMPUTE_UNITS)]
OUTCOMES = {
    **dict.fromkeys(("linear", "two_inputs", "integer", "boolean", "half", "rank_0"), "pass"),
    **dict.fromkeys(("partly", "state_outside"), "partial"),
    **dict.fromkeys(("fell_back", "copied"), "fallback"),
}


@pytest.fixture(scope="module")
def seen() -> dict[str, Any]:
    command = [sys.executable, str(SIMULATED / "host.py"), f"{SIMULATED / 'executorch_scenarios.py'}:everything"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, input="{}", capture_output=True, text=True, timeout=600, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def outcomes(records: dict[str, Any]) -> dict[str, str]:
    return {unit: record["outcome"] for unit, record in records.items()}


def test_it_is_a_simulation_that_registers_the_backend(seen) -> None:
    assert seen["simulated"]
    assert "CoreMLBackend" in seen["backends"]


@pytest.mark.parametrize("name", OUTCOMES)
def test_each_compute_unit_is_compared_with_eager(name: str, seen) -> None:
    records = seen["records"][name]
    assert outcomes(records) == dict.fromkeys(UNITS, OUTCOMES[name]), records
    for record in records.values():
        assert record["phase"] == "value"
        assert record["numerics"]["worst"] is not None or record["numerics"]["class"] == "EXACT", record["numerics"]


def test_every_phase_is_passed_through(seen) -> None:
    phases = list(dict.fromkeys(seen["records"]["linear"]["executorch"]["phases"]))
    assert phases == ["eager", "export", "edge", "partition", "convert", "package", "emit", "load", "run", "value"]


@pytest.mark.parametrize(
    ("name", "feature"), [("state", "state"), ("forward", "multifunction models"), ("decode", "multifunction models")]
)
def test_what_the_macos_wheel_was_built_without_is_not_run(name: str, feature: str, seen) -> None:
    for record in seen["records"][name].values():
        assert (record["outcome"], record["phase"]) == ("not_run", "load")
        assert record["reason"] == f"this ExecuTorch runtime's CoreMLBackend was built without Core ML's {feature}"


def test_a_backend_built_with_them_runs_them(seen) -> None:
    for records in seen["built"]["records"].values():
        assert set(outcomes(records).values()) == {"pass"}
    first, second = seen["built"]["calls"]
    np.testing.assert_allclose(second, 2 * np.array(first))


# --- functions on the units of Core ML ----------------------------------------------------------------------------


@pytest.mark.parametrize("unit", COMPUTE_UNITS)
@pytest.mark.parametrize("method", ["forward", "decode"])
def test_a_method_is_its_function_of_the_package(method: str, unit: str, seen) -> None:
    found = seen["functions"][method]
    np.testing.assert_allclose(found["units"][unit]["outputs"], found["eager"], rtol=4e-3, atol=4e-3)
    operators = {"forward": {"linear", "relu"}, "decode": {"linear", "mul", "sub"}}[method] | {"cast"}
    assert set(found["units"][unit]["mil_ops"]) == operators
    assert set(found["units"][unit]["placed"]) == operators


def test_functions_need_macos_15(seen) -> None:
    for found in seen["functions"].values():
        assert found["too_old"] == "NotRunnable: a package of several functions needs macOS 15 or later"


# --- faults -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "outcome", "phase", "texts"),
    [
        ("wrong_value", "wrong_value", "value", ["output 0[0, 0]"]),
        ("second_answer", "non_deterministic", "value", ["1 of 6 elements differ", "each within bounds"]),
        ("load_error", "load_error", "load", ["error: 0x:23", "Model init failed Error in declaring network"]),
        ("predict_error", "run_error", "run", ["failed with error 0x30", "CoreMLBackend: Failed to run the model."]),
    ],
)
def test_a_fault_of_one_compute_unit_shows_on_that_one(fault, outcome, phase, texts, seen) -> None:
    records = seen["faults"][fault]
    assert outcomes(records) == {**dict.fromkeys(UNITS, "pass"), "executorch:cpu_and_gpu": outcome}
    hit = records["executorch:cpu_and_gpu"]
    assert hit["phase"] == phase
    for text in texts:
        assert text in hit["error"]["message"], hit["error"]


def test_a_package_that_does_not_compile_is_a_load_error(seen) -> None:
    record = seen["faults"]["compile_error"]["executorch"]
    assert (record["outcome"], record["phase"]) == ("load_error", "load")
    assert "Error compiling model: simulated" in record["error"]["message"]


def test_an_abort_costs_the_one_check(tmp_path: Path) -> None:
    """The command itself, isolated as ever: the records are labelled, the unit beside is not harmed."""
    from harness.evidence.journal import read_run_or_file

    case, answer = tmp_path / "doubled.py", tmp_path / "out.jsonl"
    case.write_text(
        "import torch\n\n\ndef doubled():\n    class Double(torch.nn.Module):\n        def forward(self, x):\n"
        "            return x * 2\n\n    return Double(), (torch.ones(2, 3),)\n"
    )
    fault = json.dumps({"predict_abort": {"units": ["CPU_AND_GPU"]}})
    command = [sys.executable, "-m", "harness", "check", str(case), "--precision", "fp16", "--json", str(answer)]
    command += ["--unit", "executorch:cpu_and_gpu", "--unit", "executorch:cpu_and_ne", "--no-cache"]
    run = [sys.executable, str(SIMULATED / "run.py"), "--fault", fault, "--", *command]
    done = subprocess.run(run, capture_output=True, text=True, timeout=600)
    assert done.returncode == 1, done.stderr[-3000:]
    records = {record.unit: record for record in read_run_or_file(answer).records}
    hit, spared = records["executorch:cpu_and_gpu"], records["executorch:cpu_and_ne"]
    assert (hit.outcome, hit.phase) == ("crash", "run")
    assert hit.error is not None
    assert hit.error.type == "SIGABRT"
    assert spared.outcome == "pass"
    assert spared.environment.endswith("-simulated")


# --- the runtime beside the real one ------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "darwin", reason="held against the runtime of a Linux wheel")
@pytest.mark.parametrize("position", [0, 1])
def test_kernels_and_refusals_are_the_real_runtimes(position: int, seen, monkeypatch) -> None:
    """The same files and inputs: the same values within float's rounding, the same numbers of errors."""
    monkeypatch.syspath_prepend(str(SIMULATED))
    from executorch.runtime import Runtime

    found = seen["real"][position]
    inputs = importlib.import_module("executorch_scenarios")
    program = Runtime.get().load_program(base64.b64decode(found["pte"]))
    for values, answer in zip(inputs.wrong_inputs(), found["answers"], strict=True):
        expected = inputs.answer_of(program.load_method("forward"), values)
        if isinstance(answer, str) or isinstance(expected, str):
            assert answer == expected
        else:
            assert len(answer) == len(expected)
            for one, other in zip(answer, expected, strict=True):
                np.testing.assert_allclose(one, other, rtol=1e-6)
