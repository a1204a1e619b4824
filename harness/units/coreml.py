"""The four Core ML units: prediction through coremltools, from the one lowered package.

The package is compiled once and opened for each compute unit. Features are mapped by position of the delegate's
metadata. What crosses into Core ML is a fresh C-ordered copy: the native side aliases the caller's memory,
mishandles negative strides, and takes int32, float32 and float64 arrays of rank 1 or more only.
"""

from __future__ import annotations

import atexit
import functools
import hashlib
import os
import shutil
import tempfile
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from harness.evidence.notes import Note, NoteCode
from harness.evidence.unit import UnitSpec
from harness.evidence.vocabulary import HARDWARE_UNITS, Unit
from harness.lowering.debug_info import operations_of
from harness.lowering.program import UnpackedDelegate
from harness.units import host
from harness.units.base import (
    Feature,
    LoadFailed,
    NotRunnable,
    PredictFailed,
    Prediction,
    ProgramContradiction,
    UnitDied,
)
from harness.units.host import is_simulated_host, missing_device
from harness.units.placement import Placement, Program, available_devices, placement_of, unmet_request
from harness.units.whole_program import DelegateUnit

__all__ = ["CoreMLUnit", "OpenCoreML", "is_simulated_host"]

#: Folders of compiled models in the temporary directory: this, the owning process, a random part.
_FOLDER_PREFIX = "coreml-harness-compiled-"

#: Feature type (protobuf name) to numpy's name.
_FEATURE_DTYPE = {"FLOAT16": "float16", "FLOAT32": "float32", "DOUBLE": "float64", "INT32": "int32", "INT8": "int8"}


class CoreMLUnit(DelegateUnit):
    """Core ML restricted to one compute unit. Costs nothing until `open` is called."""

    def __init__(self, name: str) -> None:
        """`name` is one of `cpu_only`, `cpu_and_gpu`, `cpu_and_ne`, `all`; raises `ValueError` for another."""
        if name not in HARDWARE_UNITS:
            raise ValueError(f"{name!r} is not a Core ML unit; they are {', '.join(HARDWARE_UNITS)}")
        self.name = str(Unit(name))
        self.unit = UnitSpec(Unit(name))

    def unavailable(self, target: str) -> str | None:
        """Why this unit cannot run a program for `target` here; None when it can."""
        return host.coreml_unavailable(self.name, target)

    def open(self, delegate: UnpackedDelegate) -> OpenCoreML:
        """Compile (once for each package) and load.

        Raises `NotRunnable` where Core ML cannot predict, `ProgramContradiction` when metadata and description
        disagree, `LoadFailed` with Core ML's message when it refuses the package.
        """
        if reason := host.coreml_unavailable(self.name, None) or missing_device(self.name, _devices()):
            raise NotRunnable(reason)
        description = _describe(delegate)
        version = host.macos_version() or ()
        if description.states and version < host.MINIMUM_MACOS_FOR_STATE:
            raise NotRunnable("a program with state needs macOS 15 or later")
        if delegate.function and version < host.MINIMUM_MACOS_FOR_FUNCTIONS:
            raise NotRunnable("a package of several functions needs macOS 15 or later")
        compiled = _compiled.acquire(delegate.package)
        try:
            return OpenCoreML(self.name, description, compiled)
        except BaseException:
            _compiled.release(compiled)
            raise


@functools.cache
def _devices() -> tuple[str, ...]:
    """What Core ML offers here; it does not change while a process lives."""
    return tuple(available_devices())


@dataclass(frozen=True)
class _Description:
    """The package's own description of the delegate's function, ordered as the delegate's metadata.

    Read by coremltools alone: a fault of the reference executor's reader must not decide what Core ML is asked.
    """

    inputs: list[Feature]
    outputs: list[Feature]
    states: list[str]
    mil_ops: dict[str, int]
    program: Program
    function: str


def _describe(delegate: UnpackedDelegate) -> _Description:
    from coremltools.models.utils import load_spec

    try:
        spec = load_spec(str(delegate.package))
    except Exception as error:
        raise LoadFailed(f"the package cannot be read: {_message(error, delegate.package)}") from error
    described = _described_function(spec.description, delegate.function)
    inputs = {feature.name: _feature(feature) for feature in described.input}
    outputs = {feature.name: _feature(feature) for feature in described.output}
    _agree("input", delegate.input_names, inputs)
    _agree("output", delegate.output_names, outputs)
    operations = tuple(o for o in operations_of(spec) if delegate.function in ("", o.function))
    return _Description(
        inputs=[inputs[name] for name in delegate.input_names],
        outputs=[outputs[name] for name in delegate.output_names],
        states=[state.name for state in described.state],
        mil_ops=dict(sorted(Counter(operation.type for operation in operations).items())),
        program=Program(operations, delegate.nodes, delegate.debug_info.get("debugSymbolToHandles") or {}),
        function=delegate.function,
    )


def _described_function(description: Any, function: str) -> Any:
    """A package of several functions describes each of them; another one itself."""
    if not function:
        return description
    found = next((each for each in description.functions if each.name == function), None)
    if found is None:
        known = ", ".join(each.name for each in description.functions) or "none"
        raise ProgramContradiction(f"the package describes no function {function} (it has {known})")
    return found


def _agree(kind: str, named: tuple[str, ...], described: dict[str, Feature]) -> None:
    missing = sorted(set(named) - set(described))
    extra = sorted(set(described) - set(named)) if kind == "input" else []
    if missing:
        raise ProgramContradiction(f"metadata names {kind} {', '.join(missing)}, which the package does not describe")
    if extra:
        raise ProgramContradiction(f"the package needs {kind} {', '.join(extra)}, which the metadata does not name")


def _feature(description: Any) -> Feature:
    array = description.type.multiArrayType
    dtype = array.ArrayDataType.Name(array.dataType)
    if description.type.WhichOneof("Type") != "multiArrayType" or dtype not in _FEATURE_DTYPE:
        raise LoadFailed(f"feature {description.name}: {description.type.WhichOneof('Type')} {dtype} is not an array")
    flexible = array.WhichOneof("ShapeFlexibility") is not None
    return Feature(description.name, _FEATURE_DTYPE[dtype], None if flexible else tuple(array.shape))


@dataclass
class _CompiledPackage:
    """A compiled model on disk, in a folder of our own, and how many open delegates use it."""

    digest: str
    folder: Path
    users: int = 0
    warnings: list[str] = field(default_factory=list)

    @property
    def path(self) -> Path:
        return self.folder / "model.mlmodelc"


class _CompiledPackages:
    """Compiles each package once. The four units are usually opened one after the other on the same package, so the
    last one used is kept until another is compiled; at exit nothing is left on disk.
    """

    def __init__(self) -> None:
        self._by_digest: dict[str, _CompiledPackage] = {}

    def acquire(self, package: Path) -> _CompiledPackage:
        digest = _digest(package)
        entry = self._by_digest.get(digest)
        if entry is None or not entry.path.is_dir():
            self._drop_unused()
            entry = self._by_digest[digest] = self._compile(package, digest)
        entry.users += 1
        return entry

    def release(self, entry: _CompiledPackage) -> None:
        entry.users -= 1

    def _drop_unused(self) -> None:
        for entry in [entry for entry in self._by_digest.values() if entry.users <= 0]:
            del self._by_digest[entry.digest]
            shutil.rmtree(entry.folder, ignore_errors=True)

    def clear(self) -> None:
        for entry in self._by_digest.values():
            shutil.rmtree(entry.folder, ignore_errors=True)
        self._by_digest.clear()

    @staticmethod
    def _compile(package: Path, digest: str) -> _CompiledPackage:
        from coremltools.models.utils import compile_model

        remove_left_behind()
        entry = _CompiledPackage(digest, Path(tempfile.mkdtemp(prefix=f"{_FOLDER_PREFIX}{os.getpid()}-")))
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always", RuntimeWarning)
                compile_model(str(package), str(entry.path))
            entry.warnings = _texts(caught)
        except Exception as error:
            shutil.rmtree(entry.folder, ignore_errors=True)
            raise LoadFailed(f"compiling the package failed: {_message(error, package, entry.path)}") from error
        return entry


def remove_left_behind() -> None:
    """Delete compiled models of processes that ended without doing so: Core ML can take its process with it."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_FOLDER_PREFIX}*-*"):
        owner = folder.name.removeprefix(_FOLDER_PREFIX).partition("-")[0]
        if owner.isdecimal() and not _is_running(int(owner)):
            shutil.rmtree(folder, ignore_errors=True)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # someone else's process
        return True
    return True


def _digest(package: Path) -> str:
    """Content of a package: the same delegate unpacked twice is compiled once."""
    digest = hashlib.blake2b(digest_size=16)
    for path in sorted(path for path in package.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(package)}\0{path.stat().st_size}\0".encode())
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


_compiled = _CompiledPackages()
atexit.register(_compiled.clear)


class OpenCoreML:
    """A package loaded for one compute unit. State, where the program has any, lives as long as this object."""

    def __init__(self, unit: str, description: _Description, compiled: _CompiledPackage) -> None:
        import coremltools as ct

        self.unit = unit
        self.features = description.inputs
        self.mil_ops = description.mil_ops
        self._outputs = description.outputs
        self._program = description.program
        self._compiled: _CompiledPackage | None = compiled
        self._compute_unit = ct.ComputeUnit[unit.upper()]
        self._function = description.function or None
        self._model = self._load(compiled)
        # The second prediction repeats the first from an equal state, so that only non-determinism can tell them apart.
        self._state_names = description.states
        stateful = bool(description.states)
        self._states: list[Any] = [_make_state(self._model) if stateful else None for _ in range(2)]
        self.placement: dict[str, dict[str, Any]] = {}
        self.aten_placement: dict[str, dict[str, Any]] = {}
        self._load_notes = _warned(compiled.warnings)

    def plan(self) -> list[Note]:
        """Load the compute plan; gives what to note about it."""
        if self._compiled is None:
            return []
        placed = self._placed(self._compiled)
        self.placement, self.aten_placement = placed.ops, placed.aten
        return _placement_notes(self.unit, placed, self._devices())

    def _load(self, compiled: _CompiledPackage) -> Any:
        return _load(compiled, self._compute_unit, self._function)

    def _placed(self, compiled: _CompiledPackage) -> Placement:
        return placement_of(compiled.path, self._compute_unit, self._function, self._program)

    def _devices(self) -> Sequence[str]:
        return _devices()

    def predict(self, inputs: list[np.ndarray], second: list[np.ndarray] | None = None) -> Prediction:
        """Predict twice and compare bit by bit; the answer is the first one.

        Arrays as `features` declare them, by position; the second prediction takes `second` where it is given. Outputs
        come back in the declared dtypes. Raises `PredictFailed` with Core ML's message, `ProgramContradiction` when a
        named output is missing.
        """
        if self._compiled is None:
            raise PredictFailed("the delegate is closed")
        if len(inputs) != len(self.features):
            raise PredictFailed(f"{len(inputs)} inputs for {len(self.features)} features")
        notes = list(self._load_notes)
        before = self._predict_once(inputs, self._states[0], notes)
        after = self._predict_once(inputs if second is None else second, self._states[1], [])
        differing = [
            Note(NoteCode.NON_DETERMINISTIC, f"non_deterministic: {_difference(feature.name, one, other)}")
            for feature, one, other in zip(self._outputs, before, after, strict=True)
            if one.shape != other.shape or one.tobytes() != other.tobytes()
        ]
        if second is not None:  # other inputs, other answers
            return Prediction(before, notes, again=after)
        return Prediction(before, notes + differing, again=after if differing else None)

    def _predict_once(self, inputs: list[np.ndarray], state: Any, notes: list[Note]) -> list[np.ndarray]:
        assert self._compiled is not None
        # A new dict each time: predicting replaces values in the one it is given.
        data = {feature.name: _to_core_ml(array) for feature, array in zip(self.features, inputs, strict=True)}
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always", RuntimeWarning)
                answer = self._model.predict(data, state)
        except (NotRunnable, UnitDied):  # a device, or the app on it, that is gone
            raise
        except Exception as error:
            raise PredictFailed(_message(error, self._compiled.path)) from error
        notes += _warned(_texts(caught))
        missing = sorted({feature.name for feature in self._outputs} - set(answer))
        if missing:
            raise ProgramContradiction(f"the prediction lacks output {', '.join(missing)}")
        return [_from_core_ml(answer[feature.name], feature, notes) for feature in self._outputs]

    def read_state(self) -> dict[str, np.ndarray]:
        """After the first of each two predictions; raises `PredictFailed` with Core ML's message."""
        try:
            return {name: np.array(self._states[0].read_state(name)) for name in self._state_names}
        except Exception as error:
            raise PredictFailed(f"reading the state failed: {_message(error)}") from error

    def close(self) -> None:
        """Unload. The compiled folder outlives it for the next unit."""
        if self._compiled is not None:
            self._model, self._states = None, [None, None]
            _compiled.release(self._compiled)
            self._compiled = None


def _load(compiled: _CompiledPackage, compute_unit: Any, function: str | None) -> Any:
    from coremltools.models import CompiledMLModel

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", RuntimeWarning)
        try:
            model = CompiledMLModel(str(compiled.path), compute_unit, function)
        except Exception as error:
            raise LoadFailed(_message(error, compiled.path)) from error
    # A refusal can also be a mere warning and a model without its native half.
    if getattr(model, "_proxy", None) is None:
        raise LoadFailed("; ".join(_texts(caught)) or "Core ML gave no model and no reason")
    return model


def _make_state(model: Any) -> Any:
    try:
        return model.make_state()
    except Exception as error:
        raise LoadFailed(f"making the state failed: {_message(error)}") from error


def _placement_notes(unit: str, placed: Placement, devices: Sequence[str]) -> list[Note]:
    if placed.unknown is not None:
        return [Note(NoteCode.PLACEMENT_UNKNOWN, f"placement unknown: {placed.unknown}")]
    notes = [Note(NoteCode.PLAN_INCOMPLETE, detail) for detail in placed.notes]
    unmet = unmet_request(unit, placed, devices)
    return [*notes, Note(NoteCode.NOT_ON_ANE, unmet)] if unmet else notes


def _to_core_ml(array: np.ndarray) -> np.ndarray:
    """A fresh, writable, C-ordered array of a dtype Core ML takes: float16 goes in as float32, rank 0 as [1]."""
    dtype = np.float32 if array.dtype == np.float16 else array.dtype
    copy = np.array(array, dtype=dtype, order="C", copy=True)
    return copy.reshape(1) if copy.ndim == 0 else copy


def _from_core_ml(value: Any, feature: Feature, notes: list[Note]) -> np.ndarray:
    """A copy of our own in the declared dtype; kept as it came, with a note, where that would lose a value."""
    array = np.array(value, order="C", copy=True)
    if array.ndim == 0:
        array = array.reshape(1)
    if array.dtype == feature.dtype:
        return array
    with np.errstate(over="ignore", invalid="ignore"):
        declared = array.astype(feature.dtype)
    if np.array_equal(declared.astype(array.dtype), array, equal_nan=array.dtype.kind == "f"):
        return declared
    detail = f"output {feature.name}: {array.dtype} values that its declared {feature.dtype} cannot hold"
    notes.append(Note(NoteCode.OUTPUT_LOST, detail))
    return array


def _difference(name: str, first: np.ndarray, second: np.ndarray) -> str:
    if first.shape != second.shape:
        return f"output {name}: shape {first.shape}, then {second.shape}"
    # One of both may have come in another dtype than the declared one, which did not hold its values.
    common = np.result_type(first, second)
    first, second = first.astype(common), second.astype(common)
    # Bits, not values: NaN is equal to itself here, and -0.0 is not 0.0.
    bits = f"u{first.dtype.itemsize}"
    differing = np.flatnonzero(first.reshape(-1).view(bits) != second.reshape(-1).view(bits))
    at = int(differing[0])
    where = f"first {first.reshape(-1)[at]!s}, then {second.reshape(-1)[at]!s} at {at}"
    return f"output {name}: {differing.size} of {first.size} elements, {where}"


def _message(error: Exception, *paths: Path) -> str:
    """Core ML's words on one line, without our temporary folders: they change from run to run."""
    text = str(error)
    for path in paths:
        text = text.replace(f"{path.parent}/", "")
    return " ".join(text.split()) or type(error).__name__


def _warned(texts: list[str]) -> list[Note]:
    return [Note(NoteCode.CORE_ML_WARNING, text) for text in texts]


def _texts(caught: list[warnings.WarningMessage]) -> list[str]:
    return [" ".join(str(w.message).split()) for w in caught if issubclass(w.category, RuntimeWarning)]
