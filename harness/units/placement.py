"""Where Core ML would run each operator: its compute plan, as `Record.placement` and `Record.aten_placement`.

A plan is what Core ML anticipates for a compiled model on a compute unit (`MLComputePlan`, macOS 14.4). An operator
it gives no answer for stays absent: unknown is neither the CPU nor any other device.

By ATen overload, an entry claims what holds for every MIL operator that any node of the overload became, by
`harness.lowering.debug_info`. Constants and the unpacking of weights do not decide, nor do casts at the program's
boundary unless a node became nothing else. An operator that may be of one of several nodes decides for each of them and
is evidence for none. A node that became nothing, having been folded into another or away, decides nothing; an overload
with a node of which name and handle contradict each other is unknown.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.evidence.unit import UnitSpec
from harness.evidence.vocabulary import Unit
from harness.lowering.debug_info import EdgeNode, MilOperation, Origin, origins
from harness.units import host

#: Devices from the least to the most specialised, the order in which they are listed.
DEVICES = ("cpu", "gpu", "ane")
ANE = "ane"
#: Prefix of the note made when the Neural Engine was asked for and operators are placed elsewhere.
NOT_ON_ANE = "ANE requested, not placed there"

#: Placements as a record has them: by operator, `{"preferred": device, "supported": [devices], "cost": share}`.
Placed = dict[str, dict[str, Any]]

_DEVICE_OF_CLASS = {"MLCPUComputeDevice": "cpu", "MLGPUComputeDevice": "gpu", "MLNeuralEngineComputeDevice": "ane"}
_OPSET_PREFIX = re.compile(r"^(?:ios|macos|coreml)\d+\.", re.IGNORECASE)


@dataclass(frozen=True)
class OperatorUsage:
    """One operator of the program: its type and the plan's answer; `preferred` and `cost` None when there was none.

    `cost` is the share of the model's estimated work.
    """

    op_type: str
    preferred: str | None
    supported: frozenset[str] = frozenset()
    cost: float | None = None


@dataclass
class Placement:
    """`ops` is shaped as `Record.placement`, `aten` as `Record.aten_placement`.

    `unknown` says why they are empty, when the plan itself is missing, `notes` what is missing in it.
    """

    ops: Placed = field(default_factory=dict)
    aten: Placed = field(default_factory=dict)
    unknown: str | None = None
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Program:
    """What a plan is joined to: the package's operators, the nodes they came from, and its debug handles."""

    operations: tuple[MilOperation, ...] = ()
    nodes: tuple[EdgeNode, ...] = ()
    handles: Mapping[str, Sequence[int]] = field(default_factory=dict)


def unversioned(operator_name: str) -> str:
    """The MIL type without the opset the plan prefixes it with: `ios17.conv` to `conv`."""
    return _OPSET_PREFIX.sub("", operator_name)


def device_name(device: object) -> str:
    """`cpu`, `gpu` or `ane`; a device class added later keeps its class name, so that it is never taken for another."""
    kind = type(device).__name__
    return _DEVICE_OF_CLASS.get(kind, kind)


def summarise(usages: Iterable[OperatorUsage]) -> Placed:
    """One entry for each type, claiming only what holds for every operator of that type.

    `supported` is the intersection, `preferred` the least specialised preference among them, `cost` the sum, absent
    where one is unknown. A type with one operator of unknown placement is left out.
    """
    by_type: dict[str, list[OperatorUsage]] = {}
    for usage in usages:
        by_type.setdefault(usage.op_type, []).append(usage)
    result = {}
    for op_type, group in sorted(by_type.items()):
        preferred = [usage.preferred for usage in group if usage.preferred is not None]
        if len(preferred) < len(group):
            continue
        result[op_type] = _entry(preferred, [usage.supported for usage in group])
        costs = [usage.cost for usage in group if usage.cost is not None]
        if len(costs) == len(group):
            result[op_type]["cost"] = float(f"{math.fsum(costs):.6g}")
    return result


def _entry(preferred: Iterable[str], supported: Iterable[Iterable[str]]) -> dict[str, Any]:
    common = set.intersection(*map(set, supported))
    return {"preferred": min(preferred, key=_rank), "supported": sorted(common, key=_rank)}


def combine(first: tuple[dict[str, int], Placed], second: tuple[dict[str, int], Placed]) -> Placed:
    """The placement of a program of two delegates, each given as how many operators it has of each type, and where.

    Claims only what holds in both: a type one of them has and does not know the placement of is unknown. Each
    delegate has a plan of its own, whose shares of cost say nothing of the whole: they are kept for a lone delegate.
    """
    if not first[0] or not second[0]:
        return dict(sorted((first if first[0] else second)[1].items()))
    result = {}
    for op_type in sorted(first[1].keys() | second[1].keys()):
        if any(op_type in ops and op_type not in placement for ops, placement in (first, second)):
            continue
        known = [placement[op_type] for _, placement in (first, second) if op_type in placement]
        result[op_type] = _entry([k["preferred"] for k in known], [k["supported"] for k in known])
    return result


def _rank(device: str) -> tuple[int, str]:
    return (DEVICES.index(device) if device in DEVICES else -1, device)


def by_overload(found: Sequence[Origin], usages: Mapping[tuple[str, str], OperatorUsage]) -> Placed:
    """The placement by ATen overload: of what each node became, by the plan's answers by function and first output.

    An answer for an operator of another type than the program's is none.
    """
    deciding: dict[str, set[MilOperation]] = {}
    shared: dict[str, set[MilOperation]] = {}
    contradicted = {origin.node.op for origin in found if origin.contradicted}
    for origin in found:
        own = [operation for operation in origin.own if not operation.at_boundary] or origin.own
        if own and origin.node.op not in contradicted:
            deciding.setdefault(origin.node.op, set()).update(own)
            shared.setdefault(origin.node.op, set()).update(origin.shared)

    def answers() -> Iterator[OperatorUsage]:
        for op, own in deciding.items():
            for operation in own | shared[op]:
                usage = usages.get(operation.key)
                if usage is None or usage.op_type != operation.type:
                    usage = OperatorUsage(operation.type, None)
                # What several operators became cannot be shared out between them.
                alone = not shared[op] and sum(operation in others for others in deciding.values()) == 1
                yield replace(usage, op_type=op, cost=usage.cost if alone else None)

    return summarise(answers())


def unmet_request(unit: str, placement: Placement, devices: Sequence[str]) -> str | None:
    """What to note when the Neural Engine was asked for and the plan places operators elsewhere.

    `devices` are those of the machine: `all` asks for what there is. Core ML falls back silently: what fails to compile
    for the ANE runs on the CPU and predicts as if nothing had happened. Operators are named as ATen's where the plan is
    joined to them, as MIL's elsewhere.
    """
    if not UnitSpec.parse(unit).may_use_ane or (unit != Unit.CPU_AND_NE and ANE not in devices):
        return None
    elsewhere = _elsewhere(placement.aten) or _elsewhere(placement.ops, but="cast" if placement.aten else "")
    return f"{NOT_ON_ANE}: {', '.join(elsewhere)}" if elsewhere else None


def _elsewhere(placed: Placed, but: str = "") -> list[str]:
    return [
        f"{op} (on {where['preferred']}{', though supported' if ANE in where['supported'] else ''})"
        for op, where in placed.items()
        if where["preferred"] != ANE and op != but
    ]


def placement_of(
    compiled: Path, compute_unit: Any, function: str | None = None, program: Program | None = None
) -> Placement:
    """Ask Core ML for its plan; whatever that raises is told in `Placement.unknown`.

    Args:
        compiled: The compiled model (`.mlmodelc`), which must stay on disk during the call. An `.mlpackage` would
            abort the process inside Core ML, so `ValueError` is raised for anything else.
        compute_unit: A `coremltools.ComputeUnit`.
        function: The function to describe; by default all functions of the program.
        program: What was compiled, to be joined to ATen operators.
    """
    if compiled.suffix != ".mlmodelc":
        raise ValueError(f"{compiled.name}: a compute plan is loaded from a compiled model (.mlmodelc folder)")
    version = host.macos_version()
    if version is None or version < host.MINIMUM_MACOS_FOR_PLAN:
        return Placement(unknown="a compute plan needs macOS 14.4 or later")
    if not compiled.is_dir():
        return Placement(unknown="the compiled model is gone")
    try:
        from coremltools.models.compute_plan import MLComputePlan

        return read_plan(MLComputePlan.load_from_path(str(compiled), compute_unit), function, program or Program())
    except Exception as error:
        return Placement(unknown=f"the compute plan failed to load: {error}")


def read_plan(plan: Any, function: str | None, program: Program) -> Placement:
    """The answers of a loaded `MLComputePlan` (or None), joined to `program`."""
    described = plan.model_structure.program if plan is not None else None
    if described is None:
        return Placement(unknown="Core ML gave no compute plan")
    usages: list[OperatorUsage] = []
    by_output: dict[tuple[str, str], OperatorUsage] = {}
    refusals: list[str] = []
    for name, body in described.functions.items():
        if function is None or name == function:
            for usage, output in _usages(plan, body.block, refusals):
                usages.append(usage)
                by_output[name, output] = usage
    ops = summarise(usages)
    if not ops:
        return Placement(unknown=refusals[0] if refusals else "the compute plan answers for no operator")
    operations = tuple(o for o in program.operations if function is None or o.function == function)
    notes = refusals[:1]
    missing = [o for o in operations if o.outputs and not o.is_weight and o.key not in by_output]
    if missing:
        notes.append(
            f"the compute plan does not name {len(missing)} of {len(operations)} operators: {missing[0].key[1]}"
        )
    if program.nodes and not program.handles:
        notes.append("the package has no debug information: the plan is not joined to ATen operators")
        return Placement(ops, notes=notes)
    found = origins(program.nodes, operations, program.handles)
    contradicted = sorted({operation.key[1] for origin in found for operation in origin.contradicted})
    if contradicted:
        notes.append(f"the debug handles of {', '.join(contradicted)} are of other nodes than the names")
    return Placement(ops, by_overload(found, by_output), notes=notes)


def _usages(plan: Any, block: Any, refusals: list[str]) -> Iterator[tuple[OperatorUsage, str]]:
    """Each operator's usage with its first output; what the plan raises for one is told in `refusals`."""

    def ask(question: Callable[[Any], Any], operation: Any) -> Any:
        try:
            return question(operation)
        except Exception as error:
            refusals.append(f"the compute plan failed for {operation.operator_name}: {error}")
            return None

    for operation in block.operations:
        for inner in operation.blocks:
            yield from _usages(plan, inner, refusals)
        op_type = unversioned(operation.operator_name)
        if op_type == "const":  # constants are not computed anywhere
            continue
        output = operation.outputs[0].name if operation.outputs else ""
        usage = ask(plan.get_compute_device_usage_for_mlprogram_operation, operation)
        if usage is None or usage.preferred_compute_device is None:
            yield OperatorUsage(op_type, None), output
            continue
        estimate = ask(plan.get_estimated_cost_for_mlprogram_operation, operation)
        supported = frozenset(map(device_name, usage.supported_compute_devices))
        yield OperatorUsage(op_type, device_name(usage.preferred_compute_device), supported, _share(estimate)), output


def _share(estimate: Any) -> float | None:
    """The weight of an `MLComputePlanCost`, None for what is no share of a whole."""
    weight = getattr(estimate, "weight", None)
    return float(weight) if isinstance(weight, int | float) and 0 <= weight <= 1 else None


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
