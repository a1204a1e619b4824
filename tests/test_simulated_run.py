"""Commands on the simulated host: what `run.py` and the start-up file of every Python process below it do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SIMULATED = Path(__file__).parent / "simulated"
#: What a process sees of the host before it has imported anything of weight.
SEEN = """
import json, os, shutil, sys
import faults
from harness.units import host
heavy = [name for name in ("torch", "coremltools", "executorch", "numpy") if name in sys.modules]
print(json.dumps({"simulated": host.is_simulated_host(), "macos": host.macos_version(), "heavy": heavy,
    "unavailable": host.coreml_unavailable("all", "iOS18"), "faults": faults._active, "python": sys.executable,
    "devices": sys.modules["coremltools.libcoremlpython"].simulated_devices, "other": "other" in sys.modules,
    "xcode": os.environ.get("COREML_SIMULATED_XCODE"), "first": os.environ["PATH"].split(os.pathsep)[0]}))
"""


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SIMULATED / "run.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env={**os.environ, **environment})


def seen(*options: str, **environment: str) -> dict[str, Any]:
    done = run(*options, "--", "python", "-c", SEEN, **environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_python_process_below_is_on_the_host() -> None:
    found = seen()
    assert found["simulated"]
    assert found["macos"] == [15, 5]
    assert found["unavailable"] is None
    assert found["devices"] == ["cpu", "gpu", "ane"]
    assert Path(found["python"]).parent == Path(sys.executable).parent
    assert Path(found["first"]) == SIMULATED / "commands"
    # A process below a process: the environment alone carries it.
    nested = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {SEEN!r}], check=True)"
    done = run("--macos", "13.6", "--", "python", "-c", nested)
    assert json.loads(done.stdout)["macos"] == [13, 6]


def test_starting_up_imports_nothing_of_weight() -> None:
    assert seen()["heavy"] == []


def test_options_are_what_is_played() -> None:
    fault = {"load_abort": {"units": ["CPU_ONLY"], "mil": ["gelu"]}}
    options = [
        "--macos",
        "14.4",
        "--devices",
        "cpu",
        "--no-xcode",
        "--fault",
        json.dumps(fault),
        "--fault",
        "plan_hang",
    ]
    found = seen(*options)
    assert found["macos"] == [14, 4]
    assert found["devices"] == ["cpu"]
    assert found["xcode"] == "none"
    assert found["faults"] == {**fault, "plan_hang": {}}
    assert "needs macOS 15" in found["unavailable"]


def test_an_existing_start_up_file_is_run_too(tmp_path: Path) -> None:
    (tmp_path / "other.py").write_text("")
    (tmp_path / "sitecustomize.py").write_text("import other\n")
    found = seen(PYTHONPATH=str(tmp_path))
    assert found["other"]
    assert found["simulated"]


def test_the_exit_code_is_the_commands() -> None:
    assert run("--", "python", "-c", "raise SystemExit(7)").returncode == 7


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--fault", "levitate"], "no such fault: levitate"),
        (["--fault", '{"load_abort": {"unit": "ALL"}}'], "load_abort: no such setting: unit"),
        (["--fault", '{"compile_error": {"units": ["ALL"]}}'], "compile_error: cannot be limited to units"),
        (["--macos", "Sequoia"], "invalid literal"),
        (["--devices", "cpu,tpu"], "no such device: tpu"),
    ],
)
def test_what_cannot_be_played_is_refused(arguments: list[str], said: str) -> None:
    done = run(*arguments, "--", "python", "-c", "print('ran')")
    assert done.returncode == 2
    assert said in done.stderr
    assert "ran" not in done.stdout


def test_a_command_that_does_not_exist_is_refused() -> None:
    done = run("--", "no-such-command-here")
    assert done.returncode == 2
    assert "no-such-command-here" in done.stderr


def test_it_is_not_installed_after_coremltools() -> None:
    script = "import sys; sys.modules['coremltools'] = sys; import host; host.install()"
    done = run("--", "python", "-c", script)
    assert "coremltools is already imported" in done.stderr
