"""Run a whole lowered program: its delegates on a unit, its fallback nodes in eager PyTorch."""

from __future__ import annotations

import operator
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from harness.evidence.vocabulary import Phase
from harness.lowering.program import Call, DelegateCall, GetItem, LoweredProgram, replace_values
from harness.units.base import LoadFailed, OpenDelegate, ProgramContradiction, UnitRunner
from harness.units.boundary import from_feature, to_feature
from harness.units.placement import combine


class FallbackFailed(Exception):
    """A fallback operator raised in eager PyTorch."""


@dataclass
class ProgramResult:
    """The user's outputs, flattened, and what was seen on the way."""

    outputs: list[Any] = field(default_factory=list)
    mil_ops: dict[str, int] = field(default_factory=dict)
    placement: dict[str, dict[str, Any]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def run_program(
    program: LoweredProgram,
    unit: UnitRunner,
    inputs: Sequence[torch.Tensor],
    on_phase: Callable[[Phase], None] = lambda _phase: None,
) -> ProgramResult:
    """Load every delegate, then run the steps in order.

    Raises what the unit raises (`harness.units.base`) and `FallbackFailed`. The inputs are not changed.
    """
    result = ProgramResult()
    with ExitStack() as stack:
        on_phase(Phase.LOAD)
        opened = [_open(stack, unit, program, number) for number in range(len(program.delegates))]
        for delegate in opened:
            result.placement = combine((result.mil_ops, result.placement), (delegate.mil_ops, delegate.placement))
            for op, count in delegate.mil_ops.items():
                result.mil_ops[op] = result.mil_ops.get(op, 0) + count
        on_phase(Phase.RUN)
        values = _bind(program, inputs)
        for step in program.steps:
            if isinstance(step, DelegateCall):
                arguments = replace_values(step.args, values)
                values[step.out.number] = _predict(program, step.delegate, opened[step.delegate], arguments, result)
            elif isinstance(step, GetItem):
                values[step.out.number] = values[step.source.number][step.index]
            else:
                values[step.out.number] = _call(step, values)
        result.outputs = list(replace_values(program.outputs, values))
    return result


def _open(stack: ExitStack, unit: UnitRunner, program: LoweredProgram, number: int) -> OpenDelegate:
    directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="coreml-harness-"))
    declared = program.delegates[number]
    try:
        unpacked = declared.unpack(Path(directory))
    except (ValueError, KeyError, RuntimeError) as error:
        raise LoadFailed(f"delegate {number}: {error}") from error
    for what, expected, names in (
        ("inputs", declared.inputs, unpacked.input_names),
        ("outputs", declared.outputs, unpacked.output_names),
    ):
        if len(expected) != len(names):
            raise ProgramContradiction(
                f"delegate {number}: {len(expected)} {what} in the graph, {len(names)} in the package's metadata"
            )
    delegate = unit.open(unpacked)
    stack.callback(delegate.close)
    return delegate


def _bind(program: LoweredProgram, inputs: Sequence[torch.Tensor]) -> dict[int, Any]:
    supply = iter(inputs)
    values: dict[int, Any] = {}
    for placeholder in program.inputs:
        tensor = next(supply) if placeholder.kind == "user" else placeholder.tensor
        assert tensor is not None
        values[placeholder.value.number] = tensor.clone()
    return values


def _predict(
    program: LoweredProgram, number: int, opened: OpenDelegate, arguments: Sequence[Any], result: ProgramResult
) -> list[torch.Tensor]:
    features = []
    for value, feature in zip(arguments, opened.features, strict=True):
        array, notes = to_feature(value, feature)
        features.append(array)
        result.notes += notes
    prediction = opened.predict(features)
    result.notes += prediction.notes
    tensors = []
    specs = program.delegates[number].outputs
    for position, (array, spec) in enumerate(zip(prediction.outputs, specs, strict=True)):
        tensor, notes = from_feature(array, spec, str(position))
        tensors.append(tensor)
        result.notes += notes
    return tensors


def _call(step: Call, values: dict[int, Any]) -> Any:
    arguments = replace_values(step.args, values)
    keywords = replace_values(step.kwargs, values)
    try:
        with torch.no_grad():
            return resolve(step.target)(*arguments, **keywords)
    except Exception as error:
        raise FallbackFailed(f"{step.target}: {type(error).__name__}: {error}") from error


def resolve(target: str) -> Callable[..., Any]:
    """The callable for `aten.asinh.default` or `operator.add`; operators of ExecuTorch's own need its registrations."""
    namespace, *rest = target.split(".")
    if namespace == "operator":
        return getattr(operator, rest[0])
    if namespace not in ("aten", "prims"):
        import executorch.exir  # noqa: F401  (registers dim_order_ops and the rest)
    found: Any = getattr(torch.ops, namespace)
    for name in rest:
        found = getattr(found, name)
    return found
