"""What Core ML's loader is publicly known to refuse, whatever the program would compute: a table, one row a rule.

Core ML's own checks are not published but for those of a model's interface; what else is known comes from reports of
programs that did not load. So each row names its sources, and a row goes when a Mac contradicts it. Reports of a single
program, of a crash or of one compute unit only are no rules and are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from harness.mil.errors import InputError
from harness.mil.program import Argument, Feature, Function, Literal, Operation, Program, ValueRef
from harness.mil.types import StateType, TensorType, ValueType

#: Specification versions of programs by their deployment target (`mlmodel/src/Globals.hpp` of coremltools).
SPECIFICATION_VERSIONS = {"iOS15": 6, "iOS16": 7, "iOS17": 8, "iOS18": 9, "iOS26": 10}
MOST_DIMENSIONS = 5

_COREMLTOOLS = "https://github.com/apple/coremltools"
_EXECUTORCH = "https://github.com/pytorch/executorch"
# Published, and what Core ML says when it refuses: issue 2578 quotes it from a Mac.
_INTERFACE = f"{_COREMLTOOLS}/blob/main/mlmodel/src/Validation/InterfaceValidators.cpp"
_VALIDATORS = f"{_COREMLTOOLS}/blob/main/mlmodel/src/Validation/Validators.hpp"
_OPERATORS = "https://apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html"
_PAD = f"{_OPERATORS}#coremltools.converters.mil.mil.ops.defs.iOS15.tensor_operation.pad"
_WEBNN = "https://github.com/webmachinelearning/webnn/issues/739"


@dataclass(frozen=True)
class Place:
    """Where a rule is broken: the value, the type of the operator that makes it (empty for an input or an output of the
    function), and how."""

    value: str
    operator: str
    detail: str


@dataclass(frozen=True)
class LoadRule:
    """`refuses` completes "Core ML does not load"; `sources` are addresses, the most telling first.

    `since` is the deployment target from whose systems on it holds, as far as is known; empty for all of them.
    """

    name: str
    refuses: str
    sources: tuple[str, ...]
    places: Callable[[Program, Function], Iterator[Place]]
    since: str = ""


@dataclass(frozen=True)
class BrokenRule:
    """A rule and where a program breaks it. `certain` is false where the systems of the deployment target load it and
    only newer ones refuse."""

    rule: LoadRule
    function: str
    place: Place
    certain: bool = True

    def __str__(self) -> str:
        at = f"{self.place.operator} -> {self.place.value}" if self.place.operator else self.place.value
        systems = f" of {self.rule.since} and newer systems" if self.rule.since else ""
        refusal = f"Core ML{systems} does not load {self.rule.refuses}"
        return f"{self.rule.name}: {at}: {self.place.detail}; {refusal} ({self.rule.sources[0]})"


def broken_rules(program: Program, target: str | None = None) -> list[BrokenRule]:
    """Each place in each function of the program where a rule of `LOAD_RULES` is broken: a package loads as a whole.

    `target` is the deployment target (`iOS18`) or the system it is to be loaded on; None for what the program itself
    says. Raises `InputError` for an unknown one.
    """
    if target is not None and target not in SPECIFICATION_VERSIONS:
        raise InputError(f"unknown target {target!r}: one of {', '.join(SPECIFICATION_VERSIONS)}")
    version = program.specification_version if target is None else SPECIFICATION_VERSIONS[target]
    return [
        BrokenRule(rule, function.name, place, not rule.since or version >= SPECIFICATION_VERSIONS[rule.since])
        for rule in LOAD_RULES
        for function in program.functions.values()
        for place in rule.places(program, function)
    ]


# Operators and values.


@dataclass(frozen=True)
class _Padded:
    """A dimension that a `pad` makes wider by repeating elements. `axis` counts from the end; what is not known of the
    input is None."""

    operation: Operation
    mode: str
    axis: int
    widths: tuple[int, int]
    size: int | None
    kind: TensorType | None

    @property
    def place(self) -> Place:
        where = f"dimension {self.axis}" if self.kind is None else f"dimension {self.axis} of {self.kind}"
        before, after = self.widths
        return Place(self.operation.label, "pad", f"mode {self.mode} pads {where} by {before} and {after}")


def _padded(function: Function) -> Iterator[_Padded]:
    """The dimensions that each `pad` by reflect or replicate makes wider; what is not constant cannot be told."""
    pads = [operation for operation in function.block.walk() if operation.type == "pad"]
    if not pads:
        return
    constants, types = _constants(function), _types(function)
    for operation in pads:
        mode, pad = (_literal(operation.inputs.get(name), constants) for name in ("mode", "pad"))
        if mode is None or mode.value not in ("reflect", "replicate") or pad is None:
            continue
        widths = np.asarray(pad.value, np.int64).reshape(-1, 2).tolist()
        x = operation.inputs.get("x")
        known = types.get(x.name) if isinstance(x, ValueRef) else x.type if isinstance(x, Literal) else None
        kind = known if isinstance(known, TensorType) and known.shape is not None else None
        shape = kind.shape if kind is not None and kind.shape is not None else ()
        for axis, (before, after) in enumerate(widths, start=-len(widths)):
            if before or after:
                size = shape[axis] if len(shape) >= -axis else None
                yield _Padded(operation, mode.value, axis, (before, after), size, kind)


def _pad_before_the_last_two(_program: Program, function: Function) -> Iterator[Place]:
    return (padded.place for padded in _padded(function) if padded.axis < -2)


def _pad_wider(_program: Program, function: Function) -> Iterator[Place]:
    for padded in _padded(function):
        if padded.size is not None and max(padded.widths) > padded.size - (padded.mode == "reflect"):
            yield padded.place


def _more_than_five(_program: Program, function: Function) -> Iterator[Place]:
    for item in function.inputs:
        yield from _too_many(item.name, "", item.type, "the input has")
    # What only compressed weights are made of may have more (coremltools' own check at the end of a conversion).
    used = set(function.block.outputs)
    for operation in function.block.walk():
        if not operation.type.startswith("constexpr_"):
            used |= {ref.name for ref in _references(operation)}
        for block in operation.blocks:
            used |= set(block.outputs)
            for item in block.inputs:
                yield from _too_many(item.name, operation.type, item.type, "a value has")
    for name, constant in _constants(function).items():
        if name in used:
            yield from _too_many(name, "const", constant.type, "it has")
    for operation in function.block.walk():
        for output in operation.outputs:
            if output.name in used or not operation.type.startswith("constexpr_"):
                yield from _too_many(output.name, operation.type, output.type, "it has")


def _too_many(name: str, operator: str, kind: ValueType, has: str) -> Iterator[Place]:
    tensor = kind.wrapped if isinstance(kind, StateType) else kind
    if isinstance(tensor, TensorType) and tensor.shape is not None and len(tensor.shape) > MOST_DIMENSIONS:
        yield Place(name, operator, f"{has} {len(tensor.shape)} dimensions ({tensor})")


def _input_returned(_program: Program, function: Function) -> Iterator[Place]:
    inputs = {item.name for item in function.inputs if not isinstance(item.type, StateType)}
    for name in dict.fromkeys(function.block.outputs):
        if name in inputs:
            yield Place(name, "", "the output is the input of that name")


# The interface, as the model's description tells it. A program without a specification version is none from a file.


def _no_inputs(program: Program, function: Function) -> Iterator[Place]:
    if _older(program, "iOS18") and not function.description.inputs:
        yield Place(function.name, "", f"the function takes no input ({_stands(program)})")


def _no_outputs(program: Program, function: Function) -> Iterator[Place]:
    if program.specification_version and not function.description.outputs:
        yield Place(function.name, "", "the function returns nothing")


def _data_type(program: Program, function: Function, data_type: str, target: str) -> Iterator[Place]:
    if _older(program, target):
        for feature in (*function.description.inputs, *function.description.outputs):
            if feature.data_type == data_type:
                yield Place(feature.name, "", f"it is declared {data_type} ({_stands(program)})")


def _input_without_shape(program: Program, function: Function) -> Iterator[Place]:
    if program.specification_version:
        for feature in function.description.inputs:
            if _is_array(feature) and not (feature.shape or feature.sizes or feature.shapes):
                yield Place(feature.name, "", f"the input, {feature.data_type}, is declared without a shape")


def _state_too_early(program: Program, function: Function) -> Iterator[Place]:
    if _older(program, "iOS18"):
        for feature in function.description.states:
            yield Place(feature.name, "", f"it is a state ({_stands(program)})")


def _state_data_type(program: Program, function: Function) -> Iterator[Place]:
    if program.specification_version:
        for feature in function.description.states:
            if feature.data_type not in ("FLOAT16", "INT8"):
                yield Place(feature.name, "", f"the state is declared {feature.data_type}")


def _several_functions(program: Program, function: Function) -> Iterator[Place]:
    if _older(program, "iOS18") and len(program.functions) > 1 and function.name != program.default_function:
        yield Place(function.name, "", f"one of {len(program.functions)} functions ({_stands(program)})")


def _older(program: Program, target: str) -> bool:
    return 0 < program.specification_version < SPECIFICATION_VERSIONS[target]


def _stands(program: Program) -> str:
    return f"specification version {program.specification_version}"


def _is_array(feature: Feature) -> bool:
    """DOUBLE is a plain number's type as well, which has no shape."""
    return feature.data_type in ("FLOAT16", "FLOAT32", "INT32", "INT8")


# Reading a function.


def _constants(function: Function) -> Mapping[str, Literal]:
    found = dict(function.block.constants)
    for operation in function.block.walk():
        for block in operation.blocks:
            found.update(block.constants)
    return found


def _types(function: Function) -> Mapping[str, ValueType]:
    found: dict[str, ValueType] = {item.name: item.type for item in function.inputs}
    found.update((name, constant.type) for name, constant in _constants(function).items())
    for operation in function.block.walk():
        found.update((item.name, item.type) for block in operation.blocks for item in block.inputs)
        found.update((output.name, output.type) for output in operation.outputs)
    return found


def _literal(argument: Argument | None, constants: Mapping[str, Literal]) -> Literal | None:
    if isinstance(argument, ValueRef):
        return constants.get(argument.name)
    return argument if isinstance(argument, Literal) else None


def _references(operation: Operation) -> Iterator[ValueRef]:
    for argument in operation.inputs.values():
        for part in argument if isinstance(argument, tuple) else (argument,):
            if isinstance(part, ValueRef):
                yield part


LOAD_RULES: tuple[LoadRule, ...] = (
    LoadRule(
        "pad-before-the-last-two-dimensions",
        "padding by reflect or replicate of any dimension but the last two",
        (
            f"{_COREMLTOOLS}/pull/2701",
            f"{_COREMLTOOLS}/issues/2571",
            f"{_COREMLTOOLS}/issues/2576",
            f"{_EXECUTORCH}/issues/11708",
            f"{_EXECUTORCH}/issues/11709",
            _WEBNN,
        ),
        _pad_before_the_last_two,
    ),
    LoadRule(
        "pad-wider-than-the-dimension",
        "padding by replicate wider than the dimension, or by reflect as wide as it",
        (_PAD, _WEBNN),
        _pad_wider,
    ),
    LoadRule(
        "more-than-five-dimensions",
        f"inputs, outputs and values of more than {MOST_DIMENSIONS} dimensions",
        (
            f"{_COREMLTOOLS}/issues/1723",
            f"{_COREMLTOOLS}/issues/832",
            f"{_COREMLTOOLS}/issues/2291",
            f"{_EXECUTORCH}/issues/11694",
        ),
        _more_than_five,
    ),
    LoadRule(
        "input-returned-as-output",
        "a function whose output is one of its inputs",
        (
            "https://github.com/FluidInference/FluidAudio/issues/265",
            "https://github.com/FluidInference/FluidAudio/pull/295",
            "https://github.com/FluidInference/FluidAudio/pull/728",
            f"{_COREMLTOOLS}/issues/2184",
        ),
        _input_returned,
        since="iOS26",
    ),
    LoadRule(
        "no-inputs-before-ios18",
        "a function without inputs in a program for iOS17 or older",
        (f"{_COREMLTOOLS}/issues/2578", _VALIDATORS, f"{_EXECUTORCH}/issues/11719"),
        _no_inputs,
    ),
    LoadRule("no-outputs", "a function without outputs", (_VALIDATORS,), _no_outputs),
    LoadRule(
        "float16-feature-before-ios16",
        "fp16 inputs or outputs in a program for iOS15",
        (_INTERFACE,),
        partial(_data_type, data_type="FLOAT16", target="iOS16"),
    ),
    LoadRule(
        "int8-feature-before-ios26",
        "int8 inputs or outputs in a program for iOS18 or older",
        (_INTERFACE,),
        partial(_data_type, data_type="INT8", target="iOS26"),
    ),
    LoadRule(
        "input-without-shape",
        "an input array without a shape",
        (f"{_EXECUTORCH}/issues/2769", _INTERFACE),
        _input_without_shape,
    ),
    LoadRule("state-before-ios18", "states in a program for iOS17 or older", (_INTERFACE,), _state_too_early),
    LoadRule("state-data-type", "states that are neither fp16 nor int8", (_INTERFACE,), _state_data_type),
    LoadRule(
        "several-functions-before-ios18",
        "several functions in a program for iOS17 or older",
        (_INTERFACE,),
        _several_functions,
    ),
)
