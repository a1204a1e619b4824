"""The runner app on a simulated device: coremltools' `ModelService.swift`, with predictions by the simulated Core ML.

    python runner.py HOME DISK

Requests are files below `HOME/Documents/modelrunnerd`. `faults.json` beside DISK may say: `dies_on` and `lost_on`, a
request (`Load`, `Prediction`, `ComputePlan`) with which the app dies, or the device goes; `no_plan` refuses plans;
`coreml`, the faults of `faults.py`, on this device.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

# What coremltools imports only where it is installed; a device has none of it, and so the app starts sooner.
_ABSENT = ("executorch", "pandas", "sklearn", "torchao", "torchvision", "transformers")
sys.modules.update(dict.fromkeys(_ABSENT))  # type: ignore[arg-type]

import faults  # noqa: E402
import host  # noqa: E402

_NUMPY = {"Float16": "float16", "Float32": "float32", "Float64": "float64", "Int32": "int32"}
_SWIFT = {numpy: swift for swift, numpy in _NUMPY.items()}
_DECLARED = {"FLOAT16": "float16", "FLOAT32": "float32", "DOUBLE": "float64", "INT32": "int32"}


class Service:
    """`ModelRequestProcessor`."""

    def __init__(self, native: Any) -> None:
        self.native = native
        self.models: dict[tuple[str, str], Any] = {}

    def load(self, params: dict, resource: Path | None) -> tuple[dict, bytes | None]:
        if resource is None or resource.suffix != ".mlmodelc":
            raise RuntimeError("Missing resource: Model file is required but was not provided.")
        model = self.native._MLModelProxy(str(resource), params["computeUnits"], params["functionName"] or "", {}, None)
        self.models[params["modelID"], params["computeUnits"]] = model
        return {"modelID": params["modelID"], "duration": model.load_ns, "isCached": False}, None

    def unload(self, params: dict, resource: Path | None) -> tuple[dict, bytes | None]:
        del self.models[params["modelID"], params["computeUnits"]]
        return {"modelID": params["modelID"]}, None

    def prediction(self, params: dict, resource: Path | None) -> tuple[dict, bytes | None]:
        import numpy as np

        if (params["modelID"], params["computeUnits"]) not in self.models:
            raise RuntimeError(f"Missing resource: The model with ID '{params['modelID']}' is not currently loaded.")
        model = self.models[params["modelID"], params["computeUnits"]]
        storage = resource.read_bytes() if resource else b""
        if not storage:
            raise RuntimeError("Invalid resource: The backing store for the model inputs is invalid or empty.")
        inputs = {}
        for name, tensor in params["inputs"].items():
            dtype = np.dtype(_NUMPY[tensor["dataType"]])
            flat = np.frombuffer(storage, dtype, offset=tensor["storage"]["offset"])
            strides = [stride * dtype.itemsize for stride in tensor["strides"]]
            inputs[name] = np.array(np.lib.stride_tricks.as_strided(flat, tensor["shape"], strides))
        outputs, buffer, offset = {}, b"", 0
        for name, value in model.predict(inputs, None).items():
            described = next(d for d in model.description.output if d.name == name).type.multiArrayType
            array = np.ascontiguousarray(value, _DECLARED[described.ArrayDataType.Name(described.dataType)])
            if array.ndim:  # rows with padding, as the Neural Engine leaves them
                padded = np.zeros((*array.shape[:-1], array.shape[-1] + 5), array.dtype)
                padded[..., : array.shape[-1]] = array
                array = padded[..., : array.shape[-1]]
                buffer += padded.tobytes()
            outputs[name] = {
                "dataType": _SWIFT[array.dtype.name],
                "shape": list(array.shape),
                "strides": [stride // array.itemsize for stride in array.strides],
                # As in the Swift source: the size is that of everything so far.
                "storage": {"offset": offset, "size": len(buffer)},
            }
            offset = len(buffer)
        return {"modelID": params["modelID"], "outputs": outputs, "duration": 1000}, buffer

    def computeplan(self, params: dict, resource: Path | None) -> tuple[dict, bytes | None]:
        unit, model = next((unit, model) for (key, unit), model in self.models.items() if key == params["modelID"])
        plan = self.native._MLModelProxy.get_compute_plan(str(model.compiled), unit)
        infos: list[dict] = []
        for name, function in plan.model_structure.program.functions.items():
            path = [{"program": {}}, {"programFunction": {"data": {"name": name}}}, _block(-1)]
            _walk(plan, function.block, path, infos)
        return {"modelID": params["modelID"], "infos": infos}, None


def _block(index: int) -> dict:
    return {"programBlock": {"data": {"index": index}}}


def _walk(plan: Any, block: Any, path: list, infos: list) -> None:
    for operation in block.operations:
        usage = plan.get_compute_device_usage_for_mlprogram_operation(operation)
        if usage is None:
            continue
        here = [*path, {"programOperation": {"data": {"outputName": operation.outputs[0].name}}}]
        cost = plan.get_estimated_cost_for_mlprogram_operation(operation)
        devices = [_device(d) for d in usage.supported_compute_devices]
        infos.append(
            {
                "deviceUsage": {"preferred": _device(usage.preferred_compute_device), "supported": devices},
                "estimatedCost": cost and cost.weight,
                "path": {"components": here},
            }
        )
        for index, inner in enumerate(operation.blocks):
            here = [*here, _block(index)]
            _walk(plan, inner, here, infos)


def _device(device: Any) -> dict:
    kinds = {"MLCPUComputeDevice": {"cpu": {}}, "MLGPUComputeDevice": {"gpu": {}}}
    return kinds.get(type(device).__name__, {"neuralEngine": {"totalCoreCount": 16}})


def answer(service: Service, folder: Path, disk: Path, message: dict) -> None:
    kind = message["method"].rpartition(".")[2]
    chosen = _faults(disk)
    if chosen.get("lost_on") == kind:
        (disk / "gone").touch()
        (disk / "tunnel").unlink(missing_ok=True)
        os._exit(1)
    if chosen.get("dies_on") == kind:
        os.abort()
    faults.set_faults(**chosen.get("coreml", {}))
    resource = message.get("resource")
    path = folder / "requests/resources" / message["id"] / resource if resource else None
    response: dict[str, Any] = {"jsonrpc": "2.0", "id": message["id"]}
    data = None
    try:
        if chosen.get("no_plan") and kind == "ComputePlan":
            raise RuntimeError("Unsupported request: MLComputePlan is not supported on this platform.")
        result, data = getattr(service, kind.lower())(message["params"], path)
        response |= {"result": result} | ({"resource": "outputs.bin"} if data is not None else {})
    except Exception as error:
        response |= {"result": {}, "error": {"code": -32001, "message": str(error)}}
    partial = folder / "responses" / f"{message['id']}.partial"
    partial.mkdir()
    if data is not None:
        (partial / "outputs.bin").write_bytes(data)
    (partial / "message.json").write_text(json.dumps(response))
    partial.rename(folder / "responses" / message["id"])


def _faults(disk: Path) -> dict:
    file = disk.parent / "faults.json"
    return json.loads(file.read_text()) if file.exists() else {}


def main(home: Path, disk: Path) -> None:
    native = sys.modules[host.NATIVE_MODULE]
    folder = home / "Documents/modelrunnerd"
    for part in ("requests/messages", "requests/resources", "responses"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    service, parent = Service(native), os.getppid()
    while os.getppid() == parent:
        for path in sorted((folder / "requests/messages").glob("*/message.json")):
            message = json.loads(path.read_text())
            path.unlink()
            answer(service, folder, disk, message)
        time.sleep(0.02)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
