"""The simulated compute plan: the program as coremltools' structure dataclasses, an answer for each operation."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import libcoremlpython
from coremltools.models import compute_plan as cp
from coremltools.proto import MIL_pb2
from faults import fault

_OPSET_PREFIX = {"CoreML5": "ios15", "CoreML6": "ios16", "CoreML7": "ios17", "CoreML8": "ios18", "CoreML9": "ios26"}


def structure(spec: Any, unit: str, mil: Collection[str] = ()) -> Any:
    """`MLModelStructure` of a specification for a compute unit; by the MIL types in it, `mil`, faults strike."""
    functions = {}
    for name, function in spec.mlProgram.functions.items():
        block = function.block_specializations[function.opset]
        inputs = [_named(value) for value in function.inputs]
        functions[name] = cp.MLModelStructureProgramFunction(inputs, _block(block, function.opset, unit, mil))
    return cp.MLModelStructure(neuralnetwork=None, program=cp.MLModelStructureProgram(functions), pipeline=None)


def _named(value: Any) -> Any:
    return cp.MLModelStructureProgramNamedValueType(value.name, cp.MLModelStructureProgramValueType())


def _block(block: Any, opset: str, unit: str, mil: Collection[str]) -> Any:
    computing = sum(operation.type != "const" for operation in block.operations)
    operations = []
    for operation in block.operations:
        proxy = libcoremlpython._MLModelStructureProgramOperationProxy()
        constant = operation.type == "const"
        proxy.usage = None if constant else _usage(operation, unit, mil)  # type: ignore[attr-defined]
        proxy.weight = None if constant else 1 / computing  # type: ignore[attr-defined]
        arguments = {
            name: cp.MLModelStructureProgramArgument(
                [cp.MLModelStructureProgramBinding(binding.name or None, None) for binding in argument.arguments]
            )
            for name, argument in operation.inputs.items()
        }
        inner = [_block(nested, opset, unit, mil) for nested in operation.blocks]
        outputs = [_named(value) for value in operation.outputs]
        # Constants come without a version, operators with that of their opset.
        name = "const" if constant else f"{_OPSET_PREFIX[opset]}.{operation.type}"
        operations.append(cp.MLModelStructureProgramOperation(arguments, name, outputs, inner, proxy))
    return cp.MLModelStructureProgramBlock([_named(v) for v in block.inputs], operations, list(block.outputs))


def _usage(operation: Any, unit: str, mil: Collection[str]) -> Any:
    """A plain policy: the CPU runs everything, the GPU every float, the Neural Engine every float16."""
    if _listed("plan_unknown", unit, mil, operation.type):
        return None
    types = {MIL_pb2.DataType.Name(value.type.tensorType.dataType) for value in operation.outputs}
    able = ["cpu"]
    if types <= {"FLOAT16", "FLOAT32"}:
        able.append("gpu")
    refused = fault("ane_compile_failure", unit, mil)[0] or _listed("ane_unsupported", unit, mil, operation.type)
    if types == {"FLOAT16"} and not refused:
        able.append("ane")
    offered = [name for name in libcoremlpython.UNITS[unit] if name in libcoremlpython.simulated_devices]
    devices = [libcoremlpython.device(name) for name in able if name in offered]
    return cp.MLComputePlanDeviceUsage(preferred_compute_device=devices[-1], supported_compute_devices=devices)


def _listed(name: str, unit: str, mil: Collection[str], op_type: str) -> bool:
    active, types = fault(name, unit, mil)
    return active and ("*" in types or op_type in types)
