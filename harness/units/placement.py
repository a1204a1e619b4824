"""Where Core ML would run each operator: its compute plan, as `Record.placement`.

A plan is what Core ML anticipates for a compiled model on a compute unit (`MLComputePlan`, macOS 14.4). An operator
it gives no answer for stays absent: unknown is neither the CPU nor any other device.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.units import host

#: Devices from the least to the most specialised, the order in which they are listed.
DEVICES = ("cpu", "gpu", "ane")

_DEVICE_OF_CLASS = {"MLCPUComputeDevice": "cpu", "MLGPUComputeDevice": "gpu", "MLNeuralEngineComputeDevice": "ane"}
_OPSET_PREFIX = re.compile(r"^(?:ios|macos|coreml)\d+\.", re.IGNORECASE)


@dataclass(frozen=True)
class OperatorUsage:
    """One operator of the program: its MIL type and the plan's answer; `preferred` None when there was none."""

    op_type: str
    preferred: str | None
    supported: frozenset[str] = frozenset()


@dataclass
class Placement:
    """`ops` is shaped as `Record.placement`; `unknown` says why it is empty, when the plan itself is missing."""

    ops: dict[str, dict[str, Any]] = field(default_factory=dict)
    unknown: str | None = None

    def on_ane(self) -> set[str]:
        """MIL types the plan prefers to run on the Neural Engine."""
        return {op for op, usage in self.ops.items() if usage["preferred"] == "ane"}


def unversioned(operator_name: str) -> str:
    """The MIL type without the opset the plan prefixes it with: `ios17.conv` to `conv`."""
    return _OPSET_PREFIX.sub("", operator_name)


def device_name(device: object) -> str:
    """`cpu`, `gpu` or `ane`; a device class added later keeps its class name, so that it is never taken for another."""
    kind = type(device).__name__
    return _DEVICE_OF_CLASS.get(kind, kind)


def summarise(usages: Iterable[OperatorUsage]) -> dict[str, dict[str, Any]]:
    """One entry for each MIL type, claiming only what holds for every operator of that type.

    `supported` is the intersection, `preferred` the least specialised preference among them. A type with one
    operator of unknown placement is left out.
    """
    by_type: dict[str, list[OperatorUsage]] = {}
    for usage in usages:
        by_type.setdefault(usage.op_type, []).append(usage)
    result = {}
    for op_type, group in sorted(by_type.items()):
        preferred = [usage.preferred for usage in group if usage.preferred is not None]
        if len(preferred) < len(group):
            continue
        supported = frozenset.intersection(*(usage.supported for usage in group))
        result[op_type] = {"preferred": sorted(preferred, key=_rank)[0], "supported": sorted(supported, key=_rank)}
    return result


def combine(
    first: tuple[dict[str, int], dict[str, dict[str, Any]]], second: tuple[dict[str, int], dict[str, dict[str, Any]]]
) -> dict[str, dict[str, Any]]:
    """The placement of a program of two delegates, each given as `(mil_ops, placement)`.

    Claims only what holds in both: a type one of them has and does not know the placement of is unknown.
    """
    result = {}
    for op_type in sorted(first[1].keys() | second[1].keys()):
        known = [placement[op_type] for _, placement in (first, second) if op_type in placement]
        unknown = any(op_type in ops and op_type not in placement for ops, placement in (first, second))
        if unknown:
            continue
        supported = set(known[0]["supported"]).intersection(*(k["supported"] for k in known))
        preferred = sorted((k["preferred"] for k in known), key=_rank)[0]
        result[op_type] = {"preferred": preferred, "supported": sorted(supported, key=_rank)}
    return result


def _rank(device: str) -> tuple[int, str]:
    return (DEVICES.index(device) if device in DEVICES else -1, device)


def unmet_request(unit: str, placement: Placement) -> str | None:
    """What to note when the Neural Engine was asked for and the plan puts nothing, or not everything, there.

    Core ML falls back silently: a compile failure for the ANE runs on the CPU and predicts as if nothing had happened.
    """
    if unit != "cpu_and_ne" or not placement.ops:
        return None
    elsewhere = sorted(set(placement.ops) - placement.on_ane())
    if not elsewhere:
        return None
    if len(elsewhere) == len(placement.ops):
        able = [op for op in elsewhere if "ane" in placement.ops[op]["supported"]]
        detail = f" (it supports {', '.join(able)})" if able else ""
        return f"ANE requested, nothing placed there{detail}"
    return f"ANE requested, not placed there: {', '.join(elsewhere)}"


def placement_of(compiled: Path, compute_unit: Any, function: str | None = None) -> Placement:
    """Ask Core ML for its plan.

    Args:
        compiled: The compiled model (`.mlmodelc`), which must stay on disk during the call. An `.mlpackage` would
            abort the process inside Core ML, so `ValueError` is raised for anything else.
        compute_unit: A `coremltools.ComputeUnit`.
        function: The function to describe; by default all functions of the program.
    """
    if compiled.suffix != ".mlmodelc" or not compiled.is_dir():
        raise ValueError(f"{compiled.name}: a compute plan is loaded from a compiled model (.mlmodelc folder)")
    version = host.macos_version()
    if version is None or version < host.MINIMUM_MACOS_FOR_PLAN:
        return Placement(unknown="a compute plan needs macOS 14.4 or later")
    from coremltools.models.compute_plan import MLComputePlan

    try:
        plan = MLComputePlan.load_from_path(str(compiled), compute_unit)
        program = plan.model_structure.program if plan is not None else None
        if program is None:
            return Placement(unknown="Core ML gave no compute plan")
        blocks = [f.block for name, f in program.functions.items() if function is None or name == function]
        ops = summarise(_usages(plan, blocks))
        return Placement(ops, unknown=None if ops else "the compute plan answers for no operator")
    except (RuntimeError, ValueError, TypeError) as error:
        return Placement(unknown=f"the compute plan failed to load: {error}")


def _usages(plan: Any, blocks: Iterable[Any]) -> Iterator[OperatorUsage]:
    for block in blocks:
        for operation in block.operations:
            yield from _usages(plan, operation.blocks)
            op_type = unversioned(operation.operator_name)
            if op_type == "const":  # constants are not computed anywhere
                continue
            usage = plan.get_compute_device_usage_for_mlprogram_operation(operation)
            if usage is None or usage.preferred_compute_device is None:
                yield OperatorUsage(op_type, None)
            else:
                supported = frozenset(map(device_name, usage.supported_compute_devices))
                yield OperatorUsage(op_type, device_name(usage.preferred_compute_device), supported)


def available_devices() -> list[str]:
    """Devices Core ML can use on this machine, for the environment block; empty where it cannot say (macOS < 14)."""
    version = host.macos_version()
    if version is None or version < (14,) or not host.has_native_module():
        return []
    from coremltools.models import MLModel

    try:
        found = MLModel.get_available_compute_devices()
    except (RuntimeError, AttributeError):
        return []
    return sorted({device_name(device) for device in found}, key=_rank)
