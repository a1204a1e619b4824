"""Reader and interpreter of Core ML's ML Programs: `load(path)` gives a `Model` that computes, on any machine, what
the documented semantics of the program's operators say.

    model = load("model.mlpackage")
    outputs = model({"x": array})
"""

from __future__ import annotations

import os

from harness.mil.context import EXACT, MODES, STRICT, WIDE, Diagnostic
from harness.mil.errors import InputError, InvalidProgram, KernelError, MilError, MissingKernel, PackageError
from harness.mil.interpreter import Model, RunResult
from harness.mil.package import read_program
from harness.mil.program import Description, Feature, Function, Operation, Program
from harness.mil.types import StateType, TensorType

__all__ = [
    "EXACT",
    "MODES",
    "STRICT",
    "WIDE",
    "Description",
    "Diagnostic",
    "Feature",
    "Function",
    "InputError",
    "InvalidProgram",
    "KernelError",
    "MilError",
    "MissingKernel",
    "Model",
    "Operation",
    "PackageError",
    "Program",
    "RunResult",
    "StateType",
    "TensorType",
    "load",
]


def load(path: str | os.PathLike[str]) -> Model:
    """Read the `.mlpackage` (or `.mlmodel`) at `path`. Raises PackageError, InvalidProgram."""
    return Model(read_program(path))
