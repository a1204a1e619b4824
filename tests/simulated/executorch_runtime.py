"""A simulated ExecuTorch runtime with `CoreMLBackend`: what the bindings of a macOS wheel offer, without a Mac.

`install_into` puts it in place of four functions of `executorch.extension.pybindings.portable_lib`, so that the Python
code of ExecuTorch (`executorch.runtime`) loads and executes real `.pte` files with it. Delegates predict through the
simulated Core ML (`libcoremlpython`), on the compute unit their compile spec names, and have its faults. Errors are
those of the real runtime: a number in the exception, the reason on standard error (texts from the wheel's libraries).
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import sys
import tempfile
import weakref
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from executorch_plan import (
    DELEGATE_INVALID,
    INTERNAL,
    INVALID_ARGUMENT,
    INVALID_PROGRAM,
    NOT_FOUND,
    OPERATOR_MISSING,
    RuntimeFailure,
    Values,
    find_kernel,
    kernel_name,
    torch_dtype,
)

BACKEND = "CoreMLBackend"
#: What the backend that is played was built with, of `state` and `functions`: executorch 1.5.1's wheel with neither.
BUILT_WITH = "COREML_SIMULATED_EXECUTORCH"
_UNITS = {"cpu_only": "CPU_ONLY", "cpu_and_gpu": "CPU_AND_GPU", "cpu_and_ne": "CPU_AND_NE"}
#: Tensors the backend takes (`get_data_type` in coreml_backend_delegate.mm).
_DTYPES = (torch.bool, torch.uint8, torch.int16, torch.int32, torch.int64, torch.float16, torch.float32, torch.float64)


def built_with() -> dict[str, bool]:
    features = os.environ.get(BUILT_WITH, "").split(",")
    return {feature: feature in features for feature in ("state", "functions")}


def install_into(bindings: ModuleType) -> None:
    """Have the bindings register `CoreMLBackend` and load programs as this module does. Kernels stay the real ones."""
    for name in ("_get_registered_backend_names", "_is_available", "_load_program", "_load_program_from_buffer"):
        assert hasattr(bindings, name), f"the bindings have no {name} any more"
    registered = [*bindings._get_registered_backend_names(), BACKEND]
    kernels = frozenset(bindings._get_operator_names())
    bindings._get_registered_backend_names = lambda: list(registered)  # type: ignore[attr-defined]
    bindings._is_available = lambda name: name in registered  # type: ignore[attr-defined]
    bindings._load_program = lambda path, **_options: _Program(_read(path), kernels)  # type: ignore[attr-defined]
    bindings._load_program_from_buffer = lambda data, **_options: _Program(data, kernels)  # type: ignore[attr-defined]


def install_into_unit(unit: ModuleType) -> None:
    """The library that says what the backend was built with is the wheel's; here the environment says it."""
    assert hasattr(unit, "built_with")
    unit.built_with = functools.cache(built_with)  # type: ignore[attr-defined]


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        _log(f"Failed to open {path}: {error.strerror} ({error.errno})")
        raise RuntimeError(f"Failed to create MmapDataLoader from file {path}, error: 0x:22") from error


def _log(*lines: str) -> None:
    for line in lines:
        print(f"[simulated] {line}", file=sys.stderr, flush=True)


class _Program:
    def __init__(self, data: bytes, kernels: frozenset[str]) -> None:
        from executorch.exir._serialize._program import deserialize_pte_binary

        if data[4:8] != b"ET12":
            _log(f"Program identifier {data[4:8].decode(errors='replace')!r} != expected 'ET12'")
            raise RuntimeError(f"Failed to load program, error: 0x:{INVALID_PROGRAM:x}")
        try:
            self._file = deserialize_pte_binary(bytes(data))
        except Exception as error:
            _log("Verification failed; data may be truncated or corrupt")
            raise RuntimeError(f"Failed to load program, error: 0x:{INVALID_PROGRAM:x}") from error
        self._plans = {plan.name: plan for plan in self._file.program.execution_plan}
        self._kernels = kernels

    def num_methods(self) -> int:
        return len(self._plans)

    def get_method_name(self, index: int) -> str:
        return list(self._plans)[index]

    def load_method(self, name: str) -> _Method:
        try:
            return _Method(self._file, self._plans[name], self._kernels)
        except RuntimeFailure as failure:
            _log(*failure.lines)
            raise RuntimeError(f"Failed to load method {name}, error: 0x:{failure.number:x}") from failure


class _Method:
    """Loading is in the order of the runtime's `Method::init`: values, delegates, kernels."""

    def __init__(self, file: Any, plan: Any, kernels: frozenset[str]) -> None:
        self._plan = plan
        self._values = Values(file, plan)
        self._delegates = [_init(delegate, file) for delegate in plan.delegates]
        names = [kernel_name(entry) for entry in plan.operators]
        if missing := [f"Missing operator: [{n}] {name}" for n, name in enumerate(names) if name not in kernels]:
            count = f"There are {len(missing)} instructions don't have corresponding operator registered."
            raise RuntimeFailure(OPERATOR_MISSING, *missing, f"{count} See logs for details")
        self._functions = [find_kernel(name) for name in names]

    def __call__(self, inputs: Sequence[Any], clone_outputs: bool = True) -> list[Any]:
        try:
            self._set_inputs(list(inputs))
        except RuntimeFailure as failure:
            _log(*failure.lines)
            what = f"method->set_inputs() for method '{self._plan.name}'"
            raise RuntimeError(f"{what} failed with error 0x{failure.number:x}") from failure
        try:
            for number, instruction in enumerate(self._plan.chains[0].instructions):
                self._step(number, instruction.instr_args)
        except RuntimeFailure as failure:
            _log(*failure.lines)
            raise RuntimeError(f"method->execute() failed with error 0x{failure.number:x}") from failure
        outputs = [self._values[index] for index in self._plan.outputs]
        return [value.clone() if isinstance(value, torch.Tensor) and clone_outputs else value for value in outputs]

    def _set_inputs(self, inputs: list[Any]) -> None:
        for position, value in enumerate(inputs):
            if not isinstance(value, (torch.Tensor, int, float, bool, type(None))):
                raise RuntimeError(f"Unsupported python type {type(value)}.")
            if isinstance(value, torch.Tensor) and not _is_packed(value):
                text = f"Input {position} for method {self._plan.name}"
                raise RuntimeError(f"{text} should be contiguous or channels-last.")
        expected = self._plan.inputs
        if len(inputs) != len(expected):
            text = f"Invalid number of inputs provided. Expected {len(expected)}, but got {len(inputs)}"
            raise RuntimeFailure(INVALID_ARGUMENT, text)
        for position, (index, value) in enumerate(zip(expected, inputs, strict=True)):
            declared = self._values.declared(index)
            if not isinstance(value, torch.Tensor):
                text = f"Input {position} was expected to have type Tensor but was {type(value).__name__}."
                raise RuntimeFailure(INVALID_ARGUMENT, text)
            if value.dtype != (dtype := torch_dtype(declared.scalar_type)):
                text = f"Input {position} has unexpected scalar type: expected {dtype} but was {value.dtype}."
                raise RuntimeFailure(INVALID_ARGUMENT, text)
            try:
                self._values.resize(index, value.shape).copy_(value)
            except RuntimeFailure as failure:
                raise RuntimeFailure(
                    failure.number, *failure.lines, f"Error resizing tensor at input {position}"
                ) from failure

    def _step(self, number: int, call: Any) -> None:
        kind = type(call).__name__
        if kind == "KernelCall":
            self._functions[call.op_index](self._values, call.args)
        elif kind == "DelegateCall":
            try:
                self._delegates[call.delegate_index].execute(self._values, call.args)
            except RuntimeFailure as failure:
                text = f"CALL_DELEGATE execute failed at instruction {number}: 0x{failure.number:x}"
                raise RuntimeFailure(failure.number, *failure.lines, text) from failure
        elif kind == "MoveCall":
            self._values[call.move_to] = self._values[call.move_from]
        elif kind != "FreeCall":
            raise NotImplementedError(f"the simulated runtime does not play {kind}")


def _is_packed(tensor: torch.Tensor) -> bool:
    return tensor.is_contiguous() or (tensor.dim() == 4 and tensor.is_contiguous(memory_format=torch.channels_last))


def _init(entry: Any, file: Any) -> _Delegate:
    if entry.id != BACKEND:
        raise RuntimeFailure(NOT_FOUND, f"Backend {entry.id} is not registered.")
    try:
        return _Delegate(entry, file)
    except RuntimeFailure as failure:
        told = (*failure.lines, f"Init failed for backend {BACKEND}: 0x{failure.number:x}")
        raise RuntimeFailure(failure.number, *told) from failure
    except (RuntimeError, OSError, ValueError, KeyError) as error:
        told = f"[Core ML] Model init failed {error}", f"{BACKEND}: Failed to init the model."
        again = f"Init failed for backend {BACKEND}: 0x{INVALID_PROGRAM:x}"
        raise RuntimeFailure(INVALID_PROGRAM, *told, again) from error


class _Delegate:
    """The Core ML backend's half: a package loaded on the unit its compile spec names (all, where it names none)."""

    def __init__(self, entry: Any, file: Any) -> None:
        from executorch.backends.apple.coreml import executorchcoreml
        from libcoremlpython import _MLModelProxy

        processed, function = bytes(file.program.backend_delegate_data[entry.processed.index].data), ""
        if processed.startswith(b"CMJR"):
            reference = json.loads(processed[4:])
            function = reference["functionName"]
            data = file.named_data.pte_data if file.named_data is not None else {}
            if reference["key"] not in data:
                text = f"{BACKEND}: Failed to load model data from NamedDataStore with key: {reference['key']}"
                raise RuntimeFailure(INVALID_PROGRAM, text)
            processed = bytes(file.named_data.buffers[data[reference["key"]].buffer_index])
            if not built_with()["functions"]:
                raise RuntimeError("Multifunction CoreML models require iOS 18.0+ / macOS 15.0+ SDK to build.")
        folder = tempfile.mkdtemp(prefix="simulated-")
        weakref.finalize(self, shutil.rmtree, folder, True)
        executorchcoreml.unflatten_directory_contents(processed, folder)
        package = next(Path(folder).glob("*/model.mlpackage"))
        metadata = json.loads((package.parent / "metadata.json").read_text())
        metadata = metadata["methods"][function] if function else metadata
        self._inputs, self._outputs = metadata["inputNames"], metadata["outputNames"]
        specs = {spec.key: bytes(spec.value).decode() for spec in entry.compile_specs}
        unit = _UNITS.get(specs.get("compute_units", ""), "ALL")  # what it does not know is all, to the real one too
        compiled = _MLModelProxy.compileModel(str(package))
        weakref.finalize(self, shutil.rmtree, Path(compiled).parent, True)
        self._model = _MLModelProxy(compiled, unit, function, {}, None)
        self._state = self._model.newState() if self._model.description.state and built_with()["state"] else None

    def execute(self, values: Values, arguments: Sequence[int]) -> None:
        if len(arguments) < len(self._inputs) + len(self._outputs):
            raise RuntimeFailure(INTERNAL, f"{BACKEND}: {len(arguments)} arguments are too few")
        indices = arguments[: len(self._inputs) + len(self._outputs)]
        for index in indices:
            if (dtype := values[index].dtype) not in _DTYPES:
                number = int(values.declared(index).scalar_type)
                text = f"{BACKEND}: Failed to create multiarray from input at args[{arguments.index(index)}]"
                raise RuntimeFailure(INTERNAL, f"{BACKEND}: DataType={number} is not supported ({dtype})", text)
        described = {feature.name: feature for feature in self._model.description.input}
        features = {
            name: _to_core_ml(values[index], described[name])
            for name, index in zip(self._inputs, indices, strict=False)
        }
        try:
            answer = self._model.predict(features, self._state)
            for name, index in zip(self._outputs, indices[len(self._inputs) :], strict=True):
                _from_core_ml(answer[name], values, index)
        except RuntimeFailure:
            raise
        except (RuntimeError, KeyError) as error:
            told = f"[Core ML] Model execution failed {error}", f"{BACKEND}: Failed to run the model."
            raise RuntimeFailure(DELEGATE_INVALID, *told) from error


def _to_core_ml(tensor: torch.Tensor, feature: Any) -> Any:
    """A tensor as the feature's type; rank 0 is [1]. Values convert as in C (`static_cast` in multiarray.mm)."""
    array = feature.type.multiArrayType
    dtype = {
        "FLOAT16": torch.float16,
        "FLOAT32": torch.float32,
        "DOUBLE": torch.float64,
        "INT32": torch.int32,
    }[array.ArrayDataType.Name(array.dataType)]
    converted = tensor.to(dtype)
    if dtype is torch.float16:  # the simulated Core ML speaks coremltools' language, which has no such arrays
        converted = converted.to(torch.float32)
    return converted.reshape(tensor.shape or (1,)).clone(memory_format=torch.contiguous_format).numpy()


def _from_core_ml(answer: Any, values: Values, index: int) -> None:
    """Into the output's own memory. A tensor of rank 0 is not resized (coreml_backend_delegate.mm)."""
    found = torch.from_numpy(answer.copy())
    target = values[index]
    if target.dim():
        target = values.resize(index, found.shape)
    target.copy_(found.reshape(target.shape))
