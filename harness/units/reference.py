"""The reference unit: our interpreter of the emitted ML Program, on any OS."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from harness import mil
from harness.evidence.notes import Note, NoteCode
from harness.evidence.unit import UnitSpec
from harness.evidence.vocabulary import Phase, Unit
from harness.lowering.lower import Emitted, silence
from harness.lowering.program import UnpackedDelegate
from harness.mil.context import OPEN
from harness.mil.package import ReadPackage
from harness.units.base import (
    Feature,
    LoadFailed,
    LoadRuleBroken,
    NotRunnable,
    PredictFailed,
    Prediction,
    ProgramContradiction,
    ProgramResult,
)
from harness.units.whole_program import DelegateUnit

#: Feature data types of the package's description, as numpy names them.
_DTYPES = {"FLOAT16": "float16", "FLOAT32": "float32", "DOUBLE": "float64", "INT32": "int32", "INT8": "int8"}


class ReferenceUnit(DelegateUnit):
    """It refuses what Core ML's loader is publicly known to refuse, and interprets the rest.

    `mode` is the interpreter's: `wide` is what the unit reports, `exact` tells a precision effect from a defect. So are
    `reading` and `filling`, which run what no documentation settles in another way."""

    unit = UnitSpec(Unit.REFERENCE)

    def __init__(self, mode: str = mil.WIDE, *, reading: int = 0, filling: int = 0) -> None:
        self.mode, self.reading, self.filling = mode, reading, filling
        self._packages: list[ReadPackage] = []

    def unavailable(self, target: str) -> str | None:
        return None

    def run(
        self,
        emitted: Emitted,
        inputs: Sequence[Any],
        on_phase: Callable[[Phase], None] = silence,
        *,
        plan: bool = True,
        then: Sequence[Sequence[Any]] = (),
        refused: Sequence[Sequence[Any]] = (),
    ) -> ProgramResult:
        """As `UnitRunner.run`; the result has the packages."""
        self._packages = []
        result = super().run(emitted, inputs, on_phase, plan=plan, then=then, refused=refused)
        result.packages, self._packages = self._packages, []
        return result

    def open(self, delegate: UnpackedDelegate) -> OpenReference:
        try:
            model = mil.load(delegate.package)
        except mil.InvalidProgram as error:
            raise ProgramContradiction(str(error)) from error
        except mil.MilError as error:
            raise LoadFailed(str(error)) from error
        if delegate.function and delegate.function not in model.functions:
            raise ProgramContradiction(f"the package lacks function {delegate.function}")
        broken = mil.broken_rules(model.program)
        if refused := [b for b in broken if b.certain]:
            raise LoadRuleBroken(refused)
        missing = model.missing_kernels(delegate.function or None)
        if missing:
            raise NotRunnable(f"the reference executor has no kernel for MIL {', '.join(missing)}")
        self._packages.append(ReadPackage.of(model.program, delegate.function, delegate.package))
        notes = [Note(NoteCode.REFUSED_BY_NEWER_SYSTEMS, str(b)) for b in broken]
        return OpenReference(model, delegate, self, notes)


class OpenReference:
    """A package ready to be interpreted. Nothing is placed anywhere, so `placement` is empty.

    `notes` go before those of each prediction."""

    def __init__(
        self, model: mil.Model, delegate: UnpackedDelegate, unit: ReferenceUnit, notes: Sequence[Note] = ()
    ) -> None:
        self._model = model
        self._notes = tuple(notes)
        self._how: dict[str, Any] = {"mode": unit.mode, "reading": unit.reading, "filling": unit.filling}
        self._outputs = delegate.output_names
        self._function = delegate.function or None
        self._states = [model.make_state(self._function)]
        self.mil_ops = model.op_counts(self._function)
        self.placement: dict[str, dict[str, Any]] = {}
        self.aten_placement: dict[str, dict[str, Any]] = {}
        described = {f.name: f for f in model.function(self._function).description.inputs}
        lacking = [name for name in delegate.input_names if name not in described]
        if lacking:
            raise ProgramContradiction(f"metadata names inputs the package lacks: {', '.join(lacking)}")
        self.features = [_feature(described[name]) for name in delegate.input_names]

    def plan(self) -> list[Note]:
        return []

    def predict(self, inputs: list[np.ndarray], second: list[np.ndarray] | None = None) -> Prediction:
        """The interpreter answers a question the same way twice: only with other inputs there is a second answer."""
        if second is None:
            outputs, notes = self._run(inputs, self._states[0])
            return Prediction(outputs, notes)
        if len(self._states) == 1:
            self._states.append(copy.deepcopy(self._states[0]))  # up to here both saw the same
        outputs, notes = self._run(inputs, self._states[0])
        return Prediction(outputs, notes, again=self._run(second, self._states[1])[0])

    def _run(self, inputs: list[np.ndarray], state: dict[str, Any]) -> tuple[list[np.ndarray], list[Note]]:
        arguments = {feature.name: array for feature, array in zip(self.features, inputs, strict=True)}
        try:
            result = self._model.run(arguments, function=self._function, state=state, **self._how)
        except mil.InvalidProgram as error:
            raise ProgramContradiction(str(error)) from error
        except mil.MissingKernel as error:
            raise NotRunnable(str(error)) from error
        except mil.MilError as error:
            raise PredictFailed(str(error)) from error
        missing = [name for name in self._outputs if name not in result.outputs]
        if missing:
            raise ProgramContradiction(f"the program does not return {', '.join(missing)}")
        outputs = [np.atleast_1d(np.asarray(result.outputs[name])) for name in self._outputs]
        return outputs, [*self._notes, *(_note(d) for d in result.diagnostics)]

    def read_state(self) -> dict[str, np.ndarray]:
        return {name: np.array(value) for name, value in self._states[0].items()}

    def close(self) -> None:
        pass


def _feature(feature: mil.Feature) -> Feature:
    if feature.data_type not in _DTYPES:
        raise NotRunnable(f"input {feature.name} is of feature type {feature.data_type}")
    return Feature(feature.name, _DTYPES[feature.data_type], feature.shape or None)


def _note(diagnostic: mil.Diagnostic) -> Note:
    if diagnostic.kind in OPEN:
        return Note(NoteCode.UNDOCUMENTED, f"undocumented semantics: {diagnostic.op_type}: {diagnostic.detail}")
    where = f"{diagnostic.op_type} {diagnostic.output}: {diagnostic.detail}"
    return Note(NoteCode(diagnostic.kind), f"{diagnostic.kind}: {where}")
