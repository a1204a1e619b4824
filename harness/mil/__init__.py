"""Reader and interpreter of Core ML's ML Programs: `load(path)` gives a `Model` that computes, on any machine, what
the documented semantics of the program's operators say.

    from harness.mil import load
    model = load("model.mlpackage")
    outputs = model({"x": array})  # numpy arrays by name

- `model(inputs, function=..., mode=..., state=...)` runs a function of several, in one of the `MODES` `wide` (default:
  rounds to the declared type after each operator), `exact` (every float is float64) and `strict` (fp16 inside operators
  too); `model.run` takes the same and also gives the `Diagnostic`s: the first value that is not finite, indices out of
  range, semantics that the documentation leaves open, ...
- `model.make_state()` makes the states of a function, which calls change in place.
- `model.functions`, `model.op_counts()` and `model.missing_kernels()` tell what a program holds, `operators()` and
  `documentation(operator)` what this interpreter computes; `python -m harness.mil` does all of it from a shell.
- `broken_rules(model.program)` tells what Core ML's loader is publicly known to refuse of it; such a program runs here
  all the same.
- Weights are mapped into memory, so that loading reads none of them; inputs of flexible shapes are held to the ranges
  or the enumeration of the model's description.

Every error on purpose is a `MilError`: `PackageError` (what cannot be read: missing, truncated, not an ML Program),
`InvalidProgram` (it contradicts itself: a declared type differs from the computed one, a value is undefined),
`MissingKernel` (operators unknown here), `InputError` (names, shapes, types or states that do not fit), `KernelError`
(an operator that cannot be computed, as with an index out of range).
"""

from __future__ import annotations

import os

from harness.mil.context import EXACT, MODES, STRICT, WIDE, Diagnostic
from harness.mil.errors import InputError, InvalidProgram, KernelError, MilError, MissingKernel, PackageError
from harness.mil.interpreter import Model, RunResult
from harness.mil.load_rules import LOAD_RULES, BrokenRule, LoadRule, broken_rules
from harness.mil.package import read_program
from harness.mil.program import Description, Feature, Function, Operation, Program
from harness.mil.registry import available as operators
from harness.mil.registry import documentation
from harness.mil.types import StateType, TensorType

__all__ = [
    "EXACT",
    "LOAD_RULES",
    "MODES",
    "STRICT",
    "WIDE",
    "BrokenRule",
    "Description",
    "Diagnostic",
    "Feature",
    "Function",
    "InputError",
    "InvalidProgram",
    "KernelError",
    "LoadRule",
    "MilError",
    "MissingKernel",
    "Model",
    "Operation",
    "PackageError",
    "Program",
    "RunResult",
    "StateType",
    "TensorType",
    "broken_rules",
    "documentation",
    "load",
    "operators",
]


def load(path: str | os.PathLike[str]) -> Model:
    """Read the `.mlpackage` (or `.mlmodel`) at `path`. Raises PackageError, InvalidProgram."""
    return Model(read_program(path))
