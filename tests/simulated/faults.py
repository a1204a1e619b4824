"""Faults the simulated host can be told to have, by name: for some or all compute units, for some or all programs.

Set from Python with `set_faults(wrong_value={"units": ["CPU_AND_GPU"], "mil": ["gelu"]})`, or as JSON in the
environment variable `COREML_SIMULATED_FAULTS` before the process starts. `units` are coremltools' names; `mil` are MIL
operator types, and a program with one of them is struck; `value` is the fault's parameter, where it has one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection
from typing import Any

VARIABLE = "COREML_SIMULATED_FAULTS"

_LONG = 3600
_LLVM = "LLVM ERROR: Failed to infer result type(s): simulated"

#: Fault -> what it does; the default parameter follows.
FAULTS: dict[str, tuple[str, Any]] = {
    "compile_error": ("compiling raises this message", "Error compiling model: simulated"),
    "load_error": ("loading raises this message", "Error in declaring network: simulated"),
    "load_abort": ("loading aborts the process", None),
    "load_hang": ("loading sleeps for this many seconds", _LONG),
    "predict_error": ("predicting raises this message", "Failed to evaluate model 0 in pipeline: simulated"),
    "predict_abort": ("predicting aborts the process", None),
    "predict_llvm_abort": ("predicting writes this line to standard error and aborts the process", _LLVM),
    "predict_segfault": ("predicting reads address 0", None),
    "predict_hang": ("predicting sleeps for this many seconds", _LONG),
    "wrong_value": ("this is added to the first element of each output", 1.0),
    "second_answer": ("every second prediction of a model adds this to the last element", 0.5),
    "nan_above": ("output elements of larger magnitude than this become NaN", 10.0),
    "missing_output": ("the prediction lacks its first output", None),
    "plan_missing": ("the compute plan is None", None),
    "plan_error": ("loading the compute plan raises this message", "simulated plan failure"),
    "plan_abort": ("loading the compute plan aborts the process", None),
    "plan_hang": ("loading the compute plan sleeps for this many seconds", _LONG),
    "plan_unknown": ("the plan has no answer for these MIL types (all: `*`)", ["*"]),
    "ane_unsupported": ("the plan offers no Neural Engine for these MIL types (all: `*`)", ["*"]),
    "ane_compile_failure": ("the program does not compile for the Neural Engine: it runs on the CPU, silently", None),
}
#: The package is compiled before, and once for, the units it is loaded on.
_OF_NO_UNIT = ("compile_error",)
_SETTINGS = {"units", "mil", "value"}

_active: dict[str, dict[str, Any]] = {}


def set_faults(**faults: dict[str, Any] | bool) -> None:
    """Replace all faults. Each is True, or `{"units": [...], "mil": [...], "value": ...}`, every part optional.

    Raises `KeyError` for a name not in `FAULTS`, `ValueError` for settings that mean nothing.
    """
    unknown = sorted(set(faults) - set(FAULTS))
    if unknown:
        raise KeyError(f"no such fault: {', '.join(unknown)}")
    chosen: dict[str, dict[str, Any]] = {
        name: {} if fault is True else dict(fault) for name, fault in faults.items() if fault is not False
    }
    for name, settings in chosen.items():
        if extra := sorted(set(settings) - _SETTINGS):
            raise ValueError(f"{name}: no such setting: {', '.join(extra)}")
        if "units" in settings and name in _OF_NO_UNIT:
            raise ValueError(f"{name}: cannot be limited to units")
    _active.clear()
    _active.update(chosen)


def fault(name: str, unit: str | None, mil: Collection[str]) -> tuple[bool, Any]:
    """`(active here, its parameter)`: for a compute unit (`CPU_ONLY`; None where none is known) and a program, given by
    the MIL types it contains."""
    default = FAULTS[name][1]
    settings = _active.get(name)
    if settings is None or (unit is not None and unit not in settings.get("units", [unit])):
        return False, default
    if "mil" in settings and not set(settings["mil"]) & set(mil):
        return False, default
    return True, settings.get("value", default)


set_faults(**json.loads(os.environ.get(VARIABLE, "{}")))
