"""Run a whole lowered program: its delegates on a unit, its fallback nodes in eager PyTorch."""

from __future__ import annotations

import contextlib
import copy
import operator
import re
import tempfile
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from harness.evidence.names import OpName
from harness.evidence.notes import Note
from harness.evidence.unit import UnitSpec
from harness.evidence.vocabulary import Phase
from harness.lowering.lower import Emitted, silence
from harness.lowering.program import (
    Delegate,
    DelegateCall,
    EagerCall,
    GetItem,
    LoweredProgram,
    TensorSpec,
    UnpackedDelegate,
    replace_values,
)
from harness.units.base import (
    DelegateOpener,
    FallbackFailed,
    LoadFailed,
    NotRunnable,
    OpenDelegate,
    PredictFailed,
    ProgramContradiction,
    ProgramResult,
    UnitDied,
)
from harness.units.boundary import from_feature, to_feature
from harness.units.placement import combine


class OpenProgram:
    """A program whose delegates are loaded. As with a loaded `.pte`, what it writes to its buffers, in a delegate's
    state or outside of delegates, is there in the next call."""

    def __init__(self, program: LoweredProgram, delegates: Sequence[OpenDelegate]) -> None:
        self._program, self._delegates = program, delegates
        self._plan_notes: list[Note] = []
        # And parameters. A second set once two equal predictions differed: what is written then differs too.
        self._buffers = [{i.value.number: i.tensor for i in program.inputs if i.tensor is not None}]

    def plan(self) -> None:
        """Ask each delegate's unit where its operators would run; what it notes stands in the results of `run`."""
        for delegate in self._delegates:
            self._plan_notes += delegate.plan()

    def run(self, inputs: Sequence[Any]) -> ProgramResult:
        """Run the steps in order. Raises what the unit raises (`harness.units.base`) and `FallbackFailed`.

        The inputs are not changed."""
        result = ProgramResult(notes=list(self._plan_notes))
        aten: Counter[str] = Counter()
        for delegate, lowered in zip(self._delegates, self._program.delegates, strict=True):
            result.placement = combine((result.mil_ops, result.placement), (delegate.mil_ops, delegate.placement))
            result.aten_placement = combine((aten, result.aten_placement), (lowered.ops, delegate.aten_placement))
            aten.update(lowered.ops)
            for op, count in delegate.mil_ops.items():
                result.mil_ops[op] = result.mil_ops.get(op, 0) + count
        # The values of this call; a second set from where two equal predictions differed. Each goes its own way from
        # there, through fallback nodes, later delegates and their states, as two calls of the program would.
        runs = [self._bind(inputs, buffers) for buffers in self._buffers]
        for step in self._program.steps:
            if isinstance(step, DelegateCall):
                opened, lowered = self._delegates[step.delegate], self._program.delegates[step.delegate]
                require_tensors(step.delegate, lowered)
                specs = lowered.outputs
                answers = _predict(opened, specs, [replace_values(step.args, values) for values in runs], result)
                if len(answers) > len(runs):
                    runs.append(copy.deepcopy(runs[0]))  # a fallback node may write to what it is given
                for values, answer in zip(runs, answers, strict=True):
                    values[step.out.number] = answer
                continue
            for values in runs:
                if isinstance(step, GetItem):
                    values[step.out.number] = values[step.source.number][step.index]
                else:
                    values[step.out.number] = _call(step, values)
        self._buffers = [self._written(values, self._buffers[0]) for values in runs]
        result.buffers = {**self._states(), **self._outside(self._buffers[0])}
        outputs = [list(replace_values(self._program.outputs, values)) for values in runs]
        result.outputs, result.again = outputs[0], outputs[1] if len(outputs) > 1 else None
        return result

    def _bind(self, inputs: Sequence[Any], buffers: dict[int, Any]) -> dict[int, Any]:
        supply = iter(inputs)
        values: dict[int, Any] = {}
        with torch.no_grad():
            for placeholder in self._program.inputs:
                number = placeholder.value.number
                value = next(supply) if placeholder.kind == "user" else buffers[number]
                values[number] = value.clone() if isinstance(value, torch.Tensor) else value
        return values

    def _states(self) -> dict[str, torch.Tensor]:
        found = {}
        for delegate, lowered in zip(self._delegates, self._program.delegates, strict=True):
            values = delegate.read_state() if lowered.buffers else {}
            for buffer, state in states_of(lowered.buffers, list(values)).items():
                found[buffer] = torch.from_numpy(np.array(values[state]))
        return found

    def _outside(self, buffers: dict[int, Any]) -> dict[str, torch.Tensor]:
        written = {placeholder.number for placeholder, _ in self._program.mutations}
        inputs = [i for i in self._program.inputs if i.kind == "buffer" and i.value.number in written]
        return {placeholder.target: buffers[placeholder.value.number].clone() for placeholder in inputs}

    def _written(self, values: dict[int, Any], buffers: dict[int, Any]) -> dict[int, Any]:
        """The buffers after a call; an input of the user is none, and left as it is."""
        mutated = {placeholder.number: values[value.number] for placeholder, value in self._program.mutations}
        return {number: mutated.get(number, before) for number, before in buffers.items()}


def states_of(buffers: Sequence[str], states: Sequence[str]) -> dict[str, str]:
    """The state of each buffer that has one. coremltools names a state after its buffer (`a.total`: `a_total`), with
    what a name may not hold changed, and what is reserved; those that are left then stand in the same order."""
    by_name = {re.sub(r"\W", "_", buffer, flags=re.ASCII): buffer for buffer in buffers}
    found = {by_name[state]: state for state in states if state in by_name}
    left = [buffer for buffer in buffers if buffer not in found]
    return {**found, **dict(zip(left, (s for s in states if s not in found.values()), strict=False))}


class DelegateUnit(ABC):
    """A unit that opens delegates: the whole program is run here, what is left of it in eager PyTorch."""

    unit: UnitSpec

    @abstractmethod
    def open(self, delegate: UnpackedDelegate) -> OpenDelegate:
        """As `DelegateOpener.open`."""

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
        """As `UnitRunner.run`."""
        return run_program(emitted.program, self, inputs, on_phase, plan=plan, then=then, refused=refused)


@contextmanager
def numbered(number: int) -> Iterator[None]:
    """What a unit raises within it is about one of the calls after the first."""
    try:
        yield
    except (NotRunnable, PredictFailed, FallbackFailed, ProgramContradiction, UnitDied) as error:
        raise type(error)(f"calls[{number}]: {error}") from error


@contextmanager
def open_program(program: LoweredProgram, unit: DelegateOpener) -> Iterator[OpenProgram]:
    """Load every delegate; what they hold is released at the end. Raises what the unit raises."""
    with ExitStack() as stack:
        delegates = [_open(stack, unit, program, number) for number in range(len(program.delegates))]
        yield OpenProgram(program, delegates)


def run_program(
    program: LoweredProgram,
    unit: DelegateOpener,
    inputs: Sequence[Any],
    on_phase: Callable[[Phase], None] = silence,
    *,
    plan: bool = True,
    then: Sequence[Sequence[Any]] = (),
    refused: Sequence[Sequence[Any]] = (),
) -> ProgramResult:
    """Load a program, ask for its compute plan unless `plan` is false, and call it with `inputs`, then with each of
    `then`, at last with each of `refused`.

    Raises what the unit raises and `FallbackFailed`, about a later call with its number; the inputs are not changed.
    """
    on_phase(Phase.LOAD)
    with open_program(program, unit) as opened:
        if plan and unit.unit.needs_core_ml:
            on_phase(Phase.PLAN)
            opened.plan()
        on_phase(Phase.RUN)
        result = opened.run(inputs)
        for number, later in enumerate(then):
            with numbered(number):
                result.then.append(opened.run(later))
        result.answered = answered(opened.run, refused)
        return result


def answered(call: Callable[[Sequence[Any]], object], refused: Sequence[Sequence[Any]]) -> list[int]:
    """The numbers of the calls that `call` gives an answer to; it refuses the others by `PredictFailed`.

    Raises what else it raises."""
    found = []
    for number, inputs in enumerate(refused):
        with contextlib.suppress(PredictFailed):
            call(inputs)
            found.append(number)
    return found


def _open(stack: ExitStack, unit: DelegateOpener, program: LoweredProgram, number: int) -> OpenDelegate:
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


def require_tensors(number: int, delegate: Delegate) -> None:
    """Raises `PredictFailed` where the delegate is to take or give something else, such as a size known at run time.

    ExecuTorch's runtime hands tensors to Core ML, and ends the call where a value is none. Source: `get_multi_array` in
    executorch/backends/apple/coreml/runtime/delegate/coreml_backend_delegate.mm.
    """
    for what, specs in (("input", delegate.inputs), ("output", delegate.outputs)):
        if None in specs:
            raise PredictFailed(
                f"delegate {number}: {what} {specs.index(None)} is no tensor but a number, of which ExecuTorch's "
                "runtime makes no array for Core ML"
            )


def _predict(
    opened: OpenDelegate,
    specs: Sequence[TensorSpec | None],
    arguments: Sequence[Sequence[Any]],
    result: ProgramResult,
) -> list[list[torch.Tensor]]:
    """The answer to each set of arguments, of which there are one or two; to one set two answers, where they differ."""
    features: list[list[np.ndarray]] = []
    for values in arguments:
        arrays: list[np.ndarray] = []
        notes: list[Note] = result.notes if not features else []
        for value, feature in zip(values, opened.features, strict=True):
            array, more = to_feature(value, feature)
            arrays.append(array)
            notes += more
        features.append(arrays)
    prediction = opened.predict(*features)
    result.notes += prediction.notes
    answers = [_tensors(prediction.outputs, specs, result.notes)]
    if prediction.again is not None:
        answers.append(_tensors(prediction.again, specs, []))
    elif len(features) > 1:  # equal to the first
        answers.append(copy.deepcopy(answers[0]))
    return answers


def _tensors(arrays: Sequence[np.ndarray], specs: Sequence[TensorSpec | None], notes: list[Note]) -> list[torch.Tensor]:
    tensors = []
    for position, (array, spec) in enumerate(zip(arrays, specs, strict=True)):
        tensor, more = from_feature(array, spec, str(position))
        tensors.append(tensor)
        notes += more
    return tensors


def _call(step: EagerCall, values: dict[int, Any]) -> Any:
    arguments = replace_values(step.args, values)
    keywords = replace_values(step.kwargs, values)
    try:
        with torch.no_grad():
            return resolve(step.target)(*arguments, **keywords)
    except Exception as error:
        raise FallbackFailed(f"{step.target}: {type(error).__name__}: {error}") from error


def resolve(target: str) -> Callable[..., Any]:
    """The callable for `aten.asinh.default` or `operator.add`; operators of ExecuTorch's own need its registrations."""
    name = OpName.parse(target)
    if name.namespace == "operator":
        return getattr(operator, name.packet)
    if name.namespace not in ("aten", "prims"):
        import executorch.exir  # noqa: F401  (registers dim_order_ops and the rest)
    packet = getattr(getattr(torch.ops, name.namespace), name.packet)
    return getattr(packet, name.overload) if name.overload else packet
