"""What a recipe and the options of a partitioner promise, held against the program that was lowered by them.

Values alone do not show it: a program made for another target, or in another precision, gives the same answer. Each
promise is looked for exactly, in the graph (`LoweredProgram`) and in the packages of its delegates as they were read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from harness.cases.case import Partitioning, Refusal
from harness.evidence.notes import Note, NoteCode
from harness.evidence.recipe import PRECISIONS, TARGETS, Recipe, Target
from harness.evidence.record import ErrorInfo, Record
from harness.evidence.vocabulary import WORKING, Outcome, Phase
from harness.lowering.program import Delegate, DelegateCall, EagerCall, GetItem, LoweredProgram, Reference, values_in
from harness.mil.opsets import newer_than
from harness.mil.package import ReadPackage
from harness.mil.program import Function, Literal, Operation
from harness.mil.types import StateType, TensorType

#: The error type of a record whose program breaks a promise; no exception of anyone's.
BROKEN = "BrokenPromise"
#: The opset of an ML Program is one behind its specification version: CoreML8 is version 9, iOS18.
_SPECIFICATION_AHEAD = 1
#: Operators whose result is of the type they are told, or of what they hand on, whatever the precision of the program.
_TOLD = frozenset({"cast", "identity", "dequantize", "range_1d", "fill", "fill_like", "one_hot"})
#: A state is float16 in every program: there is no other. Source: the guide of Core ML Tools, "Stateful Models".
_OF_STATE = frozenset({"read_state", "write_state", "coreml_update_state"})
#: The largest value of float16. An operator with a larger constant is left in float32, infinities aside.
#: Source: `FP16ComputePrecision.fp16_overflow` in coremltools/converters/mil/mil/passes/defs/quantization.py.
_LARGEST, _INFINITE = 65504.0, 1e38
#: Elements from which a constant is stored in the weight file; smaller ones are written where they are used.
_STORED_FROM = 10
#: Weights up to so many elements are left as they are: `weight_threshold` of coremltools' `OpLinearQuantizerConfig`.
_QUANTIZED_ABOVE = 2048
#: Bytes that the weight file takes beside the data: at its head, and of each constant its record and what fills up.
_HEAD, _RECORD = 64, 128


@dataclass(frozen=True)
class BrokenPromise:
    """`name` is the promise, which stays the same from program to program; `detail` what was found."""

    name: str
    detail: str

    def __str__(self) -> str:
        return f"{self.name}: {self.detail}"


@dataclass(frozen=True)
class Asked:
    """What a program was asked to be. `target` is None where none was named; `sharing` of weights between methods is by
    position, where there are `several`. `held` are the parameters and buffers of the module, by name."""

    precision: str
    target: Target | None
    compute_unit: str = "all"
    quantized: bool = False
    skipped: tuple[str, ...] = ()
    full_graph: bool = False
    constants: bool = True
    buffers: bool = True
    sharing: bool = True
    several: bool = False
    held: tuple[str, ...] = ()

    @staticmethod
    def of(recipe: Recipe, wanted: Partitioning, held: Collection[str] = (), several: bool = False) -> Asked:
        specs = {**recipe.compile_specs, **dict(wanted.specs)}
        options = dict(wanted.options)
        named = {value: name for name, value in PRECISIONS.items()}
        precision = specs.get("compute_precision", "").rpartition(".")[2]
        target = specs.get("minimum_deployment_target", "").rpartition(".")[2].lower()
        skipped = options.get("skip_ops_for_coreml_delegation") or ()
        assert isinstance(skipped, Iterable)
        return Asked(
            precision=named.get(precision, recipe.precision),
            target=TARGETS.get(target),
            compute_unit=specs.get("compute_unit", "ALL").rpartition(".")[2].lower(),
            quantized="op_linear_quantizer_config" in specs,
            skipped=tuple(map(str, skipped)),
            full_graph=bool(options.get("lower_full_graph", False)),
            constants=bool(options.get("take_over_constant_data", True)),
            buffers=bool(options.get("take_over_mutable_buffer", True)),
            sharing=wanted.sharing,
            several=several,
            held=tuple(held),
        )


def broken(asked: Asked, program: LoweredProgram, packages: Sequence[ReadPackage]) -> list[BrokenPromise]:
    """The promises that a method's program breaks; `packages` are those of its delegates, in their order."""
    found = [*_of_graph(asked, program)]
    for delegate, package in zip(program.delegates, packages, strict=True):
        found += _of_delegate(asked, delegate, package)
    return list(dict.fromkeys(found))


def _of_delegate(asked: Asked, delegate: Delegate, package: ReadPackage) -> Iterator[BrokenPromise]:
    function, version = package.run, package.program.specification_version
    if asked.target is not None and version != asked.target.specification:
        yield BrokenPromise(
            "specification_version", f"{version} in the package, {asked.target.specification} is {asked.target.name}"
        )
    opset = function.opset_version
    highest = (asked.target.specification if asked.target else version) - _SPECIFICATION_AHEAD
    if opset > highest:
        yield BrokenPromise("opset", f"{function.opset} in the package, CoreML{highest} is the target's")
    operations = list(function.block.walk())
    if newer := sorted({new for op in operations if (new := newer_than(highest, op.type, frozenset(op.inputs)))}):
        yield BrokenPromise("operators", f"{', '.join(newer)}: newer than CoreML{highest}")
    wrong = _wide(function, operations) if asked.precision == "fp16" else _narrow(delegate, operations)
    if wrong:
        yield BrokenPromise("precision", f"{asked.precision} was asked for: {', '.join(dict.fromkeys(wrong))}")
    stored = dict(delegate.compile_specs).get("compute_units", b"all").decode(errors="replace")
    if stored != asked.compute_unit:
        yield BrokenPromise("compute_unit", f"{stored} in the .pte, {asked.compute_unit} was asked for")
    if asked.quantized:
        yield from _not_quantized(function, operations)
    if not asked.buffers and any(isinstance(i.type, StateType) for i in function.inputs):
        yield BrokenPromise("buffers_outside", "a package has states")
    if delegate.shared:
        yield from _stored_twice(package)


def _tensor(op: Operation, dtype: str) -> bool:
    return any(isinstance(o.type, TensorType) and o.type.dtype == dtype for o in op.outputs)


def _wide(function: Function, operations: Iterable[Operation]) -> list[str]:
    """Operators that give float32 where they could give float16."""
    constants = function.block.constants
    return [
        f"{op.type} gives float32"
        for op in operations
        if op.type not in _TOLD | _OF_STATE
        and not op.type.startswith("constexpr_")
        and _tensor(op, "fp32")
        and not any(_leaves_range(value) for value in _literals(op, constants))
    ]


def _leaves_range(literal: Literal) -> bool:
    if not (isinstance(literal.type, TensorType) and literal.type.dtype == "fp32"):
        return False
    size = np.abs(np.asarray(literal.value, dtype=np.float32))
    return bool(np.any((size > _LARGEST) & (size < _INFINITE)))


def _literals(op: Operation, constants: Mapping[str, Literal]) -> Iterator[Literal]:
    for argument in op.inputs.values():
        for one in argument if isinstance(argument, tuple) else (argument,):
            literal = one if isinstance(one, Literal) else constants.get(one.name)
            if literal is not None:
                yield literal


def _narrow(delegate: Delegate, operations: Iterable[Operation]) -> list[str]:
    """Operators that give float16, in a program of a module that has none itself."""
    if any(spec is not None and spec.dtype == "float16" for spec in (*delegate.inputs, *delegate.outputs)):
        return []
    return [
        f"{op.type} gives float16"
        for op in operations
        if op.type not in _TOLD | _OF_STATE and not op.type.startswith("constexpr_") and _tensor(op, "fp16")
    ]


def _not_quantized(function: Function, operations: Iterable[Operation]) -> Iterator[BrokenPromise]:
    """Weights of linear operators that are no compressed constant."""
    made = {o.name: op.type for op in operations for o in op.outputs}
    for op in operations:
        weight = op.inputs.get("weight") if op.type == "linear" else None
        name = getattr(weight, "name", "")
        stored = weight if isinstance(weight, Literal) else function.block.constants.get(name)
        small = stored is not None and getattr(stored.value, "size", 1) <= _QUANTIZED_ABOVE
        if weight is not None and not small and not made.get(name, "").startswith("constexpr_"):
            yield BrokenPromise("quantized_weights", "the weight of a linear operator is stored as it was")


def _stored_twice(package: ReadPackage) -> Iterator[BrokenPromise]:
    """A constant that several functions use is once in the weight file."""
    unique: dict[tuple[str, bytes], int] = {}
    for function in package.program.functions.values():
        literals = [*function.block.constants.values()]
        for op in function.block.walk():
            literals += _literals(op, {})
        for literal in literals:
            value = literal.value
            if isinstance(literal.type, TensorType) and isinstance(value, np.ndarray) and value.size >= _STORED_FROM:
                unique[str(literal.type), value.tobytes()] = value.nbytes
    most = _HEAD + sum(size + _RECORD for size in unique.values())
    if package.weights > most:
        detail = f"{package.weights} bytes of weights, {most} hold each constant of its functions once"
        yield BrokenPromise("weights_shared", detail)


def _of_graph(asked: Asked, program: LoweredProgram) -> Iterator[BrokenPromise]:
    unwanted = {name.lower() for name in asked.skipped}
    if skipped := sorted(op for op in program.delegated_ops if op.lower() in unwanted):
        yield BrokenPromise("skipped", f"{', '.join(skipped)} in a delegate")
    left = sorted(
        {s.target for s in program.steps if isinstance(s, EagerCall) and not s.target.startswith("operator.")}
    )
    if asked.full_graph and (left or not program.delegates):
        yield BrokenPromise("full_graph", f"{', '.join(left) or 'all'} outside of delegates")
    if asked.quantized:
        yield from _weights_outside(program)
    yield from _of_constants(asked, program)
    yield from _of_buffers(asked, program)
    references = [Reference.parse(delegate.processed) for delegate in program.delegates]
    if not asked.sharing and any(references):
        yield BrokenPromise("weights_apart", "a package is shared by methods")
    if asked.sharing and asked.several and not all(references):
        yield BrokenPromise("weights_shared", "a method has a package of its own")


def _weights_outside(program: LoweredProgram) -> Iterator[BrokenPromise]:
    """Weights that a delegate takes as inputs, where no quantizer of the package's constants reaches them."""
    large = {i.value.number for i in program.inputs if i.tensor is not None and i.tensor.numel() > _QUANTIZED_ABOVE}
    mutated = {value.number for value, _ in program.mutations}
    calls = [step for step in program.steps if isinstance(step, DelegateCall)]
    if any(value.number in large - mutated for call in calls for value in values_in(call.args)):
        yield BrokenPromise("quantized_weights", "a weight is input of a delegate, as it was")


def _of_constants(asked: Asked, program: LoweredProgram) -> Iterator[BrokenPromise]:
    mutated = {value.number for value, _ in program.mutations}
    mutated |= {step.out.number for step in program.steps}  # of a `.pte`: memory that a step fills
    outside = [i for i in program.inputs if i.kind != "user" and i.value.number not in mutated]
    if not asked.constants:
        taken = set(asked.held) - {i.target for i in program.inputs} - set(program.written)
        if taken:
            yield BrokenPromise("constants_outside", f"{', '.join(sorted(taken))} within a delegate")
        return
    for placeholder in outside:
        users = _users(program, placeholder.value.number)
        if len(users) == 1 and isinstance(users[0], DelegateCall):
            yield BrokenPromise("constants_within", f"{placeholder.target or placeholder.name} is input of a delegate")


def _of_buffers(asked: Asked, program: LoweredProgram) -> Iterator[BrokenPromise]:
    if not asked.buffers:
        if taken := sorted({name for delegate in program.delegates for name in delegate.buffers}):
            yield BrokenPromise("buffers_outside", f"{', '.join(taken)} within a delegate")
        return
    made = {step.out.number: step for step in program.steps}
    # An argument that is written to in place is no buffer.
    given = {i.value.number for i in program.inputs if i.kind == "user"}
    for placeholder, new in program.mutations:
        if placeholder.number in given:
            continue
        users, source = _users(program, placeholder.number), made.get(new.number)
        if isinstance(source, GetItem):
            source = made.get(source.source.number)
        if len(users) == 1 and isinstance(source, DelegateCall) and users[0] is source:
            name = next(i.target or i.name for i in program.inputs if i.value == placeholder)
            yield BrokenPromise("buffers_within", f"{name} is written outside of the delegate that computes it")


def _users(program: LoweredProgram, number: int) -> list[object]:
    return [
        step
        for step in program.steps
        if not isinstance(step, GetItem)
        and any(value.number == number for value in values_in([step.args, getattr(step, "kwargs", {})]))
    ]


def after_promises(record: Record, found: Sequence[BrokenPromise]) -> Record:
    """The record of a program that breaks promises: a contradiction in itself, unless something worse is wrong with
    it. Itself where there are none."""
    if not found:
        return record
    record = record.with_(notes=[*record.notes, *(Note(NoteCode.BROKEN_PROMISE, one.name) for one in found)])
    if record.outcome not in WORKING | {Outcome.NOT_RUN}:
        return record
    reason = "; ".join(map(str, found))
    error = ErrorInfo(BROKEN, reason, f"{BROKEN}: {', '.join(dict.fromkeys(one.name for one in found))}")
    return record.with_(outcome=Outcome.INVALID_PROGRAM, phase=Phase.PACKAGE, reason=reason, error=error)


def taken_over(record: Record, reference: Record) -> Record:
    """The record of another unit's run of a program, of which the reference executor's tells what promises it breaks:
    these are the same on every unit."""
    names = [note.detail for note in reference.notes if note.code is NoteCode.BROKEN_PROMISE]
    return after_promises(record, [BrokenPromise(name, "as the package shows") for name in names])


def after_refusal(record: Record, refusal: Refusal | None) -> Record:
    """The record of a case that is not to be lowered, by that of its lowering: `pass` where it was refused as expected,
    and a broken promise where it was not, or otherwise. Itself where lowering is to succeed."""
    if refusal is None:
        return record
    error = record.error
    if error and record.phase is refusal.phase and error.type == refusal.error and refusal.says in error.message:
        note = Note(NoteCode.REFUSED_AS_EXPECTED, f"{error.type}: {refusal.says}")
        return record.with_(outcome=Outcome.PASS, error=None, notes=[*record.notes, note])
    got = f"{error.type} in {record.phase}: {error.message[:120]}" if error else "it was lowered"
    expected = f"{refusal.error} in {refusal.phase} ({refusal.says})"
    return after_promises(record.with_(outcome=Outcome.NOT_RUN), [BrokenPromise("refusal", f"{expected}; {got}")])
