"""What the tests do with a simulated device: one process for all of it, its result as JSON on the last line of stdout.

python tests/simulated/run.py -- python tests/simulated/device_scenarios.py FOLDER
"""

from __future__ import annotations

import asyncio
import copy
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import operators
import torch

from harness import mil
from harness.evidence.notes import Note
from harness.evidence.unit import UnitSpec
from harness.lowering import speedups
from harness.units import devicectl, runner_app
from harness.units.device import DeviceUnit
from harness.units.whole_program import run_program

torch.set_num_threads(1)
speedups.enable()

DEVICES = [
    {"name": "Test iPhone", "udid": "U1", "tunnel": "disconnected"},
    {"name": "Test iPad", "udid": "U2", "kind": "iPad", "model": "iPad14,8"},
    {"name": "Locked", "udid": "U3", "locked": True},
    {"name": "Unsigned", "udid": "U4"},
]
PHONE = "Test iPhone"


def main(folder: Path) -> dict[str, Any]:
    os.environ["COREML_SIMULATED_DEVICE_ROOT"] = str(folder)
    os.environ["COREML_SIMULATED_IPHONES"] = json.dumps(DEVICES)
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    tempfile.tempdir = str(folder / "tmp")
    (folder / "tmp").mkdir()
    faults = Faults(folder / "faults.json")
    steps: dict[str, Callable[[], Any]] = {
        "dies_on_load": lambda: _dies(faults, "Load"),  # first: this app has loaded nothing, and starts in no time
        "operators": lambda: {name: _operator(name) for name in ("gelu", *_NAMED)},
        "outputs": _outputs,
        "state": lambda: _outcome("state"),
        "faults": lambda: _faults(faults),
        "dies_on_plan": lambda: _dies(faults, "ComputePlan"),
        "old_system": _old_system,
        "dies_on_prediction": lambda: _dies(faults, "Prediction"),
        "expired": lambda: _expired(faults),
        "locked": lambda: _outcome("gelu", "Locked"),
        "unsigned": _unsigned,
        "in_use": _in_use,
        "lost": lambda: _lost(faults),
        "left": lambda: _left(folder),
    }
    return {name: _attempt(step) for name, step in steps.items()}


class Faults:
    """Of the simulated device, from the next request on."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def set(self, **faults: Any) -> None:
        self.file.write_text(json.dumps(faults))


def _attempt(step: Callable[[], Any]) -> Any:
    try:
        return step()
    except Exception as error:
        return {"error": type(error).__name__, "message": str(error)}


_NAMED = ("two_outputs", "float16", "integer", "rank_0", "bool_output", "bool_input")


def _operator(name: str) -> dict[str, Any]:
    """Against eager in the values, and bit for bit against the executor that the device's Core ML is played by."""
    module, inputs, program = operators.lowered(name)
    eager = copy.deepcopy(module)(*inputs)
    result: dict[str, Any] = {"eager": [_plain(t) for t in (eager if isinstance(eager, tuple) else (eager,))]}
    with tempfile.TemporaryDirectory() as folder:
        delegate = operators.unpack(program, Path(folder) / "delegate")
        reference = mil.load(delegate.package)
        for unit in (PHONE, f"{PHONE}:cpu_only"):
            opened = DeviceUnit(_device(unit)).open(delegate)
            arrays = operators.features_of(program, inputs, opened.features)
            notes = opened.plan()
            prediction = opened.predict(arrays)
            direct = reference(dict(zip(delegate.input_names, arrays, strict=True)))
            outputs = list(zip(delegate.output_names, prediction.outputs, strict=True))
            result[unit] = {
                "outputs": [_plain(t) for t in operators.user_outputs(program, prediction.outputs)],
                "equals_reference": all((direct[n].reshape(a.shape) == a).all() for n, a in outputs),
                "placement": opened.placement,
                "aten_placement": opened.aten_placement,
                "notes": _said(notes + prediction.notes),
            }
            opened.close()
    return result


def _outputs() -> dict[str, Any]:
    """Three outputs of two types, and an operator with several outputs in the plan."""

    def function(x: torch.Tensor) -> Any:
        first, second = torch.split(x, [1, 2])
        return first * 2, (second > 0).to(torch.int32) + 1, second + 1

    module, inputs = operators.Function(function), (operators._values(3, 3),)
    program = operators.lower_module(module, inputs)
    run = run_program(program, DeviceUnit(_device(PHONE)), inputs)
    return {
        "eager": [_plain(t) for t in module(*inputs)],
        "got": [_plain(t) for t in run.outputs],
        "placed": sorted(run.placement),
    }


def _outcome(name: str, unit: str = PHONE, recipe: str = "fp16-ios18") -> dict[str, Any]:
    """What became of an operator: what was raised, or notes and the distance from eager."""
    module, inputs, program = operators.lowered(name, recipe)
    started = time.monotonic()
    try:
        run = run_program(program, DeviceUnit(_device(unit)), inputs)
    except Exception as error:
        return {"error": type(error).__name__, "message": str(error), "seconds": time.monotonic() - started}
    distance = (run.outputs[0].double() - module(*inputs).double()).abs().max()
    return {"notes": _said(run.notes), "distance": float(distance), "placement": run.placement}


def _faults(faults: Faults) -> dict[str, Any]:
    result = {}
    for name in ("wrong_value", "second_answer", "load_error", "predict_error"):
        faults.set(coreml={name: True})
        result[name] = _outcome("gelu")
    faults.set(no_plan=True)
    result["no_plan"] = _outcome("gelu")
    faults.set()
    return result


def _dies(faults: Faults, request: str) -> dict[str, Any]:
    """The app dies with a request; the next one finds another app."""
    faults.set(dies_on=request)
    result = _outcome("gelu")
    faults.set()
    return result


def _old_system() -> dict[str, Any]:
    app = runner_app.connect(PHONE)
    found, app.found = app.found, replace(app.found, ios=(17, 0))
    result = _outcome("gelu")
    app.found = found
    return result


def _expired(faults: Faults) -> dict[str, Any]:
    """An app that no longer installs is built anew."""
    shown: list[str] = []
    runner_app.connect("Test iPad")
    runner_app._close_all()
    faults.set(expired=True)
    before = _built()
    app = runner_app.connect("Test iPad", shown.append)
    faults.set()
    result = {"shown": shown, "rebuilt": _built() > before, "alive": app.is_alive()}
    runner_app._close_all()
    return result


def _built() -> float:
    (app,) = runner_app._folder(devicectl.signing()).rglob("U2/**/Info.json")
    return app.stat().st_mtime


def _unsigned() -> dict[str, Any]:
    result = {}
    os.environ["COREML_SIMULATED_TEAMS"] = ""
    result["no_team"] = _attempt(lambda: runner_app.connect("Unsigned"))
    runner_app._failed.clear()
    os.environ[devicectl.TEAM_VARIABLE] = "WRONG12345"
    result["wrong_team"] = _attempt(lambda: runner_app.connect("Unsigned"))
    del os.environ[devicectl.TEAM_VARIABLE], os.environ["COREML_SIMULATED_TEAMS"]
    result["not_tried_again"] = _attempt(lambda: runner_app.connect("Unsigned"))
    return result


def _in_use() -> dict[str, Any]:
    runner_app._PATIENCE = 0.1
    (device,) = [d for d in devicectl.devices(anew=True) if d.name == "Test iPad"]
    with runner_app._alone(device, runner_app._folder(devicectl.signing())):
        return _attempt(lambda: runner_app.connect("Test iPad"))


def _lost(faults: Faults) -> dict[str, Any]:
    faults.set(lost_on="Load")
    return {"during": _outcome("gelu"), "afterwards": _outcome("gelu")}


def _left(folder: Path) -> dict[str, Any]:
    runner_app._close_all()
    kept = runner_app._folder(devicectl.signing())
    try:
        asyncio.get_running_loop()
        loop = True
    except RuntimeError:
        loop = False
    return {
        "data": [p.name for p in (folder / "tmp").rglob("*.bin") if p.name.startswith("tmp")],
        "exchange": [p.name for p in kept.glob("build/*")],
        "threads": [t.name for t in threading.enumerate() if t is not threading.main_thread() and "tqdm" not in t.name],
        "loop": loop,
    }


def _device(name: str) -> UnitSpec:
    return UnitSpec.parse(f"device:{name}")


def _said(notes: Iterable[Note]) -> list[str]:
    return [str(note) for note in notes]


def _plain(tensor: torch.Tensor) -> dict[str, Any]:
    return {"dtype": str(tensor.dtype), "shape": list(tensor.shape), "values": tensor.flatten().tolist()}


if __name__ == "__main__":
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # the measured packages print
    print(json.dumps(main(Path(sys.argv[1]))), file=answer, flush=True)
