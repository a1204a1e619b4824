"""Faults the simulated host can be told to have, by name, for some or all compute units.

Set from Python with `set_faults(wrong_value={"units": ["CPU_AND_GPU"]})`, or as JSON in the environment variable
`COREML_SIMULATED_FAULTS` before the process starts. `value` is the fault's parameter, where it has one.
"""

from __future__ import annotations

import json
import os
from typing import Any

VARIABLE = "COREML_SIMULATED_FAULTS"

#: Fault -> what it does; the default parameter follows.
FAULTS: dict[str, tuple[str, Any]] = {
    "compile_error": ("compiling raises this message", "Error compiling model: simulated"),
    "load_error": ("loading raises this message", "Error in declaring network: simulated"),
    "load_abort": ("loading aborts the process", None),
    "load_hang": ("loading sleeps for this many seconds", 3600),
    "predict_error": ("predicting raises this message", "Failed to evaluate model 0 in pipeline: simulated"),
    "predict_abort": ("predicting aborts the process", None),
    "predict_segfault": ("predicting reads address 0", None),
    "predict_hang": ("predicting sleeps for this many seconds", 3600),
    "wrong_value": ("this is added to the first element of each output", 1.0),
    "second_answer": ("every second prediction of a model adds this to the last element", 0.5),
    "nan_above": ("output elements of larger magnitude than this become NaN", 10.0),
    "missing_output": ("the prediction lacks its first output", None),
    "plan_missing": ("the compute plan is None", None),
    "plan_error": ("loading the compute plan raises this message", "simulated plan failure"),
    "plan_unknown": ("the plan has no answer for these MIL types (all: `*`)", ["*"]),
    "ane_unsupported": ("the plan offers no Neural Engine for these MIL types (all: `*`)", ["*"]),
}

_active: dict[str, dict[str, Any]] = {}


def set_faults(**faults: dict[str, Any] | bool) -> None:
    """Replace all faults. Each is True, or `{"units": [...], "value": ...}`; `KeyError` for a name not in `FAULTS`."""
    unknown = sorted(set(faults) - set(FAULTS))
    if unknown:
        raise KeyError(f"no such fault: {', '.join(unknown)}")
    _active.clear()
    _active.update({name: {} if fault is True else dict(fault) for name, fault in faults.items() if fault is not False})


def fault(name: str, unit: str | None = None) -> tuple[bool, Any]:
    """`(active for this unit, its parameter)`. `unit` is coremltools' name (`CPU_ONLY`), None where none is known."""
    default = FAULTS[name][1]
    settings = _active.get(name)
    if settings is None or (unit is not None and unit not in settings.get("units", [unit])):
        return False, default
    return True, settings.get("value", default)


set_faults(**json.loads(os.environ.get(VARIABLE, "{}")))
