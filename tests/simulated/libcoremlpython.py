"""A simulated native half of coremltools: the names of the real `libcoremlpython`, and its strictness.

Installed as `coremltools.libcoremlpython` before coremltools is imported (see `host.py`), it lets coremltools' own
Python code compile, load, predict, plan and enumerate devices on any system. Predictions come from the reference
executor. Where it is not known how strict the real module is, this one refuses. It claims no hardware: the attribute
`simulated_macos`, which the real module does not have, marks everything measured with it as simulated.

Every Python process on the simulated host loads it, so numpy, coremltools and the executor are imported where used.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import os
import shutil
import tempfile
import time
import weakref
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faults import fault

if TYPE_CHECKING:
    import numpy as np

#: The marker, and the macOS version played; `host.install` sets both.
simulated_macos: tuple[int, ...] = (15, 5)
#: Devices of the machine played: a virtual Mac has no Neural Engine.
simulated_devices: tuple[str, ...] = ("cpu", "gpu", "ane")

UNITS = {
    "CPU_ONLY": ("cpu",),
    "CPU_AND_GPU": ("cpu", "gpu"),
    "CPU_AND_NE": ("cpu", "ane"),
    "ALL": ("cpu", "gpu", "ane"),
}
#: Newest specification version a macOS release loads.
SPECIFICATION_OF_MACOS = {12: 6, 13: 7, 14: 8, 15: 9, 26: 10}
_WIRE = {"FLOAT16": "float32", "FLOAT32": "float32", "DOUBLE": "float64", "INT32": "int32"}
#: The package inside a simulated `.mlmodelc`.
_INSIDE = "simulated.mlpackage"


class _MLCPUComputeDeviceProxy:
    def __init__(self) -> None: ...


class _MLGPUComputeDeviceProxy:
    def __init__(self) -> None: ...


class _MLNeuralEngineComputeDeviceProxy:
    def __init__(self) -> None: ...

    def get_total_core_count(self) -> int:
        return 16


class _MLModelAssetProxy:
    def __init__(self) -> None:
        self.path = ""


class _MLModelStructureProgramOperationProxy:
    def __init__(self) -> None: ...


class _MLComputePlanProxy:
    def __init__(self) -> None:
        self.structure: Any = None

    @property
    def model_structure(self) -> Any:
        return self.structure

    def get_compute_device_usage_for_mlprogram_operation(self, operation: Any) -> Any:
        return getattr(operation, "__proxy__").usage  # noqa: B009 - a plain access would be name-mangled

    def get_compute_device_usage_for_neuralnetwork_layer(self, layer: Any) -> Any:
        return None

    def get_estimated_cost_for_mlprogram_operation(self, operation: Any) -> Any:
        from coremltools.models.compute_plan import MLComputePlanCost

        weight = getattr(operation, "__proxy__").weight  # noqa: B009
        return None if weight is None else MLComputePlanCost(weight)


class _State:
    """What `newState` gives: the values of the state features, zero at first."""

    def __init__(self, values: dict[str, np.ndarray]) -> None:
        self.values = values

    def read_state(self, name: str) -> np.ndarray:
        import numpy as np

        return np.asarray(self._known(name), np.float32)

    def write_state(self, name: str, value: np.ndarray) -> None:
        if value.shape != self._known(name).shape:
            raise RuntimeError(f"state {name}: shape {value.shape}, declared {self._known(name).shape}")
        self.values[name] = value.astype(self.values[name].dtype)

    def _known(self, name: str) -> np.ndarray:
        if name not in self.values:
            raise RuntimeError(f"no state {name}")
        return self.values[name]


class _MLModelProxy:
    """A loaded model. Compiles a package itself, and then deletes the compiled folder with itself, as the real one."""

    def __init__(self, path: str, compute_units: str, function_name: str, hints: dict, asset: Any) -> None:
        _typed(path=(path, str), computeUnits=(compute_units, str), functionName=(function_name, str))
        _typed(optimizationHints=(hints, dict), asset=(asset, (_MLModelAssetProxy, type(None))))
        if compute_units not in UNITS:
            raise RuntimeError(f"Unrecognized compute unit: {compute_units}")
        self.unit = compute_units
        if asset is not None:
            path = asset.path
        if not path.rstrip("/").endswith(".mlmodelc"):
            path = _MLModelProxy.compileModel(path)
            weakref.finalize(self, shutil.rmtree, Path(path).parent, True)
        self.compiled = Path(path)
        started = time.perf_counter_ns()
        self.model, self.spec = _open(self.compiled)
        self.mil = _mil_types(self.model)
        _stumble("load", self.unit, self.mil)
        self.function = function_name or self.spec.description.defaultFunctionName or "main"
        if self.function not in self.model.functions:
            raise RuntimeError(f"no function {self.function} in the model")
        described = [d for d in self.spec.description.functions if d.name == self.function]
        self.description = described[0] if described else self.spec.description
        self.calls = 0
        self.load_ns = time.perf_counter_ns() - started
        self.predict_ns: int | None = None

    def predict(self, features: dict, state: Any) -> dict[str, np.ndarray]:
        _typed(input=(features, dict), state=(state, (_State, type(None))))
        if bool(self.description.state) != (state is not None):
            raise RuntimeError("a state is needed by a stateful model, and by no other")
        _stumble("predict", self.unit, self.mil)
        arrays = {described.name: _checked(described, features) for described in self.description.input}
        started = time.perf_counter_ns()
        values = None if state is None else state.values
        outputs = self.model(arrays, function=self.function, state=values)
        self.predict_ns = time.perf_counter_ns() - started
        self.calls += 1
        names = [described.name for described in self.description.output]
        if fault("missing_output", self.unit, self.mil)[0]:
            names = names[1:]
        return {name: self._answer(name, outputs[name]) for name in names}

    def _answer(self, name: str, value: np.ndarray) -> np.ndarray:
        """Declared types on the wire: FLOAT16 as float32, rank 0 as [1], and not always C-contiguous."""
        import numpy as np

        described = next(d for d in self.description.output if d.name == name)
        answer = np.array(value, _WIRE[_dtype(described)]).reshape(value.shape or (1,))
        if (hit := fault("wrong_value", self.unit, self.mil))[0] and answer.size:
            answer.flat[0] += hit[1]
        if (hit := fault("second_answer", self.unit, self.mil))[0] and answer.size and self.calls % 2 == 0:
            answer.flat[-1] += hit[1]
        if (hit := fault("nan_above", self.unit, self.mil))[0] and answer.dtype.kind == "f":
            answer[np.abs(answer) > hit[1]] = np.nan
        if _dtype(described) == "FLOAT16":
            answer = answer.astype("float16").astype("float32")  # a fault's value is one the declared type holds
        if answer.ndim < 2:
            return answer
        padded = np.zeros((*answer.shape[:-1], answer.shape[-1] + 3), answer.dtype)
        padded[..., : answer.shape[-1]] = answer
        return padded[..., : answer.shape[-1]]

    def batchPredict(self, batch: list) -> list[dict[str, np.ndarray]]:
        _typed(batch=(batch, list))
        return [self.predict(features, None) for features in batch]

    def newState(self) -> _State:
        return _State(self.model.make_state(self.function))

    def get_compiled_model_path(self) -> str:
        return str(self.compiled)

    def get_load_duration_in_nano_seconds(self) -> int:
        return self.load_ns

    def get_last_predict_duration_in_nano_seconds(self) -> int | None:
        return self.predict_ns

    @staticmethod
    def maximum_supported_specification_version() -> int:
        return max(SPECIFICATION_OF_MACOS.values())  # of the build, not of the running system

    @staticmethod
    def auto_set_specification_version(spec: bytes) -> bytes:
        return spec

    @staticmethod
    def compileModel(path: str) -> str:
        _typed(path=(path, str))
        package = Path(path)
        if not (package / "Manifest.json").is_file():
            raise RuntimeError(f"Error compiling model: {package.name} is not a package")
        folder = Path(tempfile.mkdtemp(prefix="simulated-"))
        atexit.register(_remove_if_empty, folder)  # who compiles moves the model away, as a rule
        compiled = folder / f"{package.stem}.mlmodelc"
        try:
            shutil.copytree(package, compiled / _INSIDE)
            _compilable(*_open(compiled))
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return str(compiled)

    @staticmethod
    def get_model_structure(path: str) -> Any:
        from plan import structure

        return structure(_open(Path(path))[1], "ALL")

    @staticmethod
    def get_compute_plan(path: str, compute_units: str) -> Any:
        from coremltools.models.compute_plan import MLComputePlan
        from plan import structure

        if not path.rstrip("/").endswith(".mlmodelc"):
            os.abort()  # what Core ML does with a package
        model, spec = _open(Path(path))
        mil = _mil_types(model)
        _stumble("plan", compute_units, mil)
        if fault("plan_missing", compute_units, mil)[0]:
            return None
        proxy = _MLComputePlanProxy()
        proxy.structure = structure(spec, compute_units, mil)
        return MLComputePlan(proxy)

    @staticmethod
    def get_available_compute_devices() -> list[Any]:
        return [device(name) for name in simulated_devices]

    get_all_compute_devices = get_available_compute_devices

    @staticmethod
    def create_model_asset_from_path(path: str) -> Any:
        from coremltools.models.model import MLModelAsset

        if not path.rstrip("/").endswith(".mlmodelc"):
            raise RuntimeError("an asset is made from a compiled model")
        proxy = _MLModelAssetProxy()
        proxy.path = path
        return MLModelAsset(proxy)

    @staticmethod
    def create_model_asset_from_memory(spec_data: bytes, blob_mapping: dict[str, bytes]) -> Any:
        from coremltools.models.utils import _create_mlpackage
        from coremltools.proto import Model_pb2

        with tempfile.TemporaryDirectory() as folder:
            for name, data in blob_mapping.items():
                (Path(folder) / Path(name).name).write_bytes(data)
            package = Path(folder) / "asset.mlpackage"
            _create_mlpackage(Model_pb2.Model.FromString(spec_data), weights_dir=folder, package_path=str(package))
            compiled = _MLModelProxy.compileModel(str(package))
            asset = _MLModelProxy.create_model_asset_from_path(compiled)
            weakref.finalize(asset, shutil.rmtree, Path(compiled).parent, True)
            return asset


def _compilable(model: Any, spec: Any) -> None:
    if (hit := fault("compile_error", None, _mil_types(model)))[0]:
        raise RuntimeError(hit[1])
    newest = max(v for major, v in SPECIFICATION_OF_MACOS.items() if major <= simulated_macos[0])
    if spec.specificationVersion > newest:
        raise RuntimeError(f"specification version {spec.specificationVersion} is newer than {newest}")


def _remove_if_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()


def _stumble(when: str, unit: str, mil: Collection[str]) -> None:
    """The faults that strike before any work is done: `when` is `load`, `plan` or `predict`."""
    if (hit := fault(f"{when}_error", unit, mil))[0]:
        raise RuntimeError(hit[1])
    if when == "predict" and (hit := fault("predict_llvm_abort", unit, mil))[0]:
        os.write(2, f"{hit[1]}\n".encode())
        os.abort()
    if fault(f"{when}_abort", unit, mil)[0]:
        os.abort()
    if when == "predict" and fault("predict_segfault", unit, mil)[0]:
        ctypes.string_at(0)
    if (hit := fault(f"{when}_hang", unit, mil))[0]:
        time.sleep(hit[1])


def _typed(**arguments: tuple[Any, Any]) -> None:
    """The binding's own check of argument types."""
    for name, (value, kinds) in arguments.items():
        if not isinstance(value, kinds):
            raise TypeError(f"incompatible function arguments: {name} is {type(value).__name__}")


def _open(compiled: Path) -> tuple[Any, Any]:
    from coremltools.models.utils import load_spec

    from harness import mil

    package = compiled / _INSIDE
    if not package.is_dir():
        raise RuntimeError(f"{compiled.name} is not a compiled model")
    try:
        return mil.load(package), load_spec(str(package))
    except Exception as error:
        raise RuntimeError(f"Unable to load model: {error}") from error


def _mil_types(model: Any) -> set[str]:
    return {op for function in model.functions for op in model.op_counts(function)}


def _dtype(described: Any) -> str:
    array = described.type.multiArrayType
    return array.ArrayDataType.Name(array.dataType)


def _checked(described: Any, features: dict) -> np.ndarray:
    """The caller's array for a feature, or an error where the real module has one."""
    import numpy as np

    name = described.name
    if name not in features:
        raise RuntimeError(f"Feature {name} is required but not specified.")
    value = features[name]
    if not isinstance(value, np.ndarray):
        raise RuntimeError(f"value type not convertible: {name} is {type(value).__name__}")
    if value.ndim == 0:
        raise RuntimeError(f"no shape, can't be an array: {name}")
    if value.dtype not in (np.int32, np.float32, np.float64):
        raise RuntimeError(f"Unsupported array type: {name} is {value.dtype}")
    if not value.flags.writeable:
        raise ValueError(f"array is not writeable: {name}")
    if any(stride < 0 for stride in value.strides):
        raise RuntimeError(f"{name} has negative strides, which the real module reads wrongly")
    if value.dtype != _WIRE[_dtype(described)]:
        raise RuntimeError(f"{name} is {value.dtype}, the model declares {_dtype(described)}")
    array = described.type.multiArrayType
    if array.WhichOneof("ShapeFlexibility") is None and tuple(array.shape) != value.shape:
        raise RuntimeError(f"MultiArray shape {value.shape} does not match {tuple(array.shape)} of feature {name}")
    return value


def device(name: str) -> Any:
    from coremltools.models import compute_device as devices

    if name == "cpu":
        return devices.MLCPUComputeDevice(_MLCPUComputeDeviceProxy())
    if name == "gpu":
        return devices.MLGPUComputeDevice(_MLGPUComputeDeviceProxy())
    return devices.MLNeuralEngineComputeDevice(_MLNeuralEngineComputeDeviceProxy())
