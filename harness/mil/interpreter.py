"""Executes the functions of a program, one operation after the other, checking every declared type on the way.

Modes:
- `wide` (default): fp16 arguments are computed in float32 and the result is rounded once, to the declared type;
- `strict`: fp16 arithmetic and fp16 accumulation inside the operations as well;
- `exact`: no rounding to fp16 or fp32 at all, every float is a float64. A result that is wrong here is wrong for
  another reason than precision. float64 rather than float32, so that fp32 programs get the same answer too, and
  so that what is left compares with a float64 truth without a rounding of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from harness.mil.casting import cast
from harness.mil.context import MODES, NON_FINITE, WIDE, Context, Diagnostic
from harness.mil.errors import InputError, InvalidProgram, KernelError, MilError, MissingKernel
from harness.mil.kernels import KERNELS
from harness.mil.program import Argument, Block, Function, Literal, NamedType, Operation, Program, ValueRef
from harness.mil.registry import NON_CONSTANT, Kernel
from harness.mil.types import FLOAT16, FLOAT32, NUMPY, Array, StateType, TensorType, name_of

State = dict[str, Array]
Observer = Callable[[Operation, tuple[Any, ...]], None]


@dataclass(slots=True)
class RunResult:
    """`outputs` by name, in the function's declared types (float64 for floats in mode `exact`)."""

    outputs: dict[str, Any]
    diagnostics: list[Diagnostic] = field(default_factory=list)


@dataclass(slots=True)
class _Step:
    """An operation made ready: constant arguments converted, variable ones with the way to convert them."""

    operation: Operation
    kernel: Kernel
    fixed: dict[str, Any]
    variable: list[tuple[str, str | tuple[Any, ...], Callable[[Any], Any] | None]]
    like: np.dtype[Any] | str | None  # data type of a constant `like`, else the value that has it
    same: tuple[str, ...]
    blocks: list[_Plan]
    checks: list[tuple[str, np.dtype[Any] | None, TensorType | None]]
    dead: tuple[str, ...] = ()


@dataclass(slots=True)
class _Plan:
    inputs: tuple[NamedType, ...]
    outputs: tuple[str, ...]
    constants: dict[str, Any]
    steps: list[_Step]


class Model:
    """A loaded program. Calling it runs a function and returns its outputs; see `run` for more."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._plans: dict[tuple[str, str], _Plan] = {}

    @property
    def functions(self) -> Mapping[str, Function]:
        return self.program.functions

    def function(self, name: str | None = None) -> Function:
        """The function of that name, or the default one. Raises InputError naming what exists."""
        name = self.program.default_function if name is None else name
        if name not in self.program.functions:
            raise InputError(f"no function {name!r}: the program has {', '.join(self.program.functions) or 'none'}")
        return self.program.functions[name]

    def op_counts(self, function: str | None = None) -> dict[str, int]:
        return self.function(function).op_counts()

    def missing_kernels(self, function: str | None = None) -> list[str]:
        """Operators of the function that have no kernel here, sorted; nothing is run."""
        return sorted({op.type for op in self.function(function).block.walk()} - KERNELS.keys())

    def make_state(self, function: str | None = None) -> State:
        """A zeroed value for each state of the function, to be passed to, and changed in place by, each run."""
        state = {}
        for item in self.function(function).inputs:
            if isinstance(item.type, StateType):
                shape = item.type.wrapped.shape
                if shape is None or any(d is None for d in shape):
                    raise InputError(f"state {item.name}: its shape is not fixed ({item.type.wrapped})")
                state[item.name] = np.zeros(tuple(d or 0 for d in shape), NUMPY[item.type.wrapped.dtype])
        return state

    def __call__(
        self, inputs: Mapping[str, Any], function: str | None = None, mode: str = WIDE, state: State | None = None
    ) -> dict[str, Any]:
        return self.run(inputs, function, mode, state).outputs

    def run(
        self,
        inputs: Mapping[str, Any],
        function: str | None = None,
        mode: str = WIDE,
        state: State | None = None,
        observer: Observer | None = None,
        reading: int = 0,
        filling: int = 0,
    ) -> RunResult:
        """Run `function` on arrays by input name.

        Inputs are converted by value to the declared types, as Core ML does at its boundary. `state` comes from
        `make_state` and is updated in place. `observer` is called after each operation with its stored results.
        What no documentation settles is run as `reading` and `filling` say (see `Context`).
        Raises InputError, MissingKernel, InvalidProgram, KernelError.
        """
        if mode not in MODES:
            raise InputError(f"unknown mode {mode!r}: one of {', '.join(MODES)}")
        target = self.function(function)
        plan = self._plan(target, mode)
        context = Context(mode, target.opset_version, reading=reading, filling=filling)
        values = _bind_inputs(target, inputs, state, context)
        with np.errstate(all="ignore"):
            outputs = _Execution(context, observer).block(plan, values)
        # Copies: an output may be a view of an input or of a constant of the model.
        owned = [v.copy() if isinstance(v, np.ndarray) else v for v in outputs]
        return RunResult(dict(zip(plan.outputs, owned, strict=True)), context.diagnostics)

    def _plan(self, function: Function, mode: str) -> _Plan:
        key = (function.name, mode)
        if key not in self._plans:
            missing = self.missing_kernels(function.name)
            if missing:
                raise MissingKernel(missing, KERNELS)
            with np.errstate(all="ignore"):
                self._plans[key] = _Planner(Context(mode, function.opset_version)).plan(function.block, {})
        return self._plans[key]


def _bind_inputs(
    function: Function, inputs: Mapping[str, Any], state: State | None, context: Context
) -> dict[str, Any]:
    declared = {i.name: i.type for i in function.inputs}
    tensors = [n for n, t in declared.items() if not isinstance(t, StateType)]
    unknown, absent = [n for n in inputs if n not in tensors], [n for n in tensors if n not in inputs]
    if unknown or absent:
        parts = [f"unknown {', '.join(map(repr, unknown))}"] if unknown else []
        parts += [f"missing {', '.join(map(repr, absent))}"] if absent else []
        raise InputError(
            f"function {function.name}: inputs {'; '.join(parts)} (it takes {', '.join(tensors) or 'none'})"
        )
    features = {feature.name: feature for feature in function.description.inputs}
    values: dict[str, Any] = {}
    for name, kind in declared.items():
        if isinstance(kind, StateType):
            values[name] = _State(name, kind, state, context)
        elif isinstance(kind, TensorType):
            feature, shape = features.get(name), np.shape(inputs[name])
            if feature is not None and not feature.accepts_shape(shape):
                raise InputError(f"input {name!r}: shape {list(shape)}, the model takes {feature.flexibility}")
            values[name] = _convert_input(name, inputs[name], kind, context)
        else:
            values[name] = inputs[name]
    if mixed := function.description.mixed_shapes({name: np.shape(inputs[name]) for name in tensors}):
        raise InputError(f"inputs {mixed}: shapes that do not belong together in the model's enumeration")
    return values


def _convert_input(name: str, value: Any, kind: TensorType, context: Context) -> Array:
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise InputError(f"input {name!r}: {array.dtype} cannot be given to a {kind} input")
    if not kind.accepts_shape(array.shape):
        raise InputError(f"input {name!r}: shape {list(array.shape)}, declared {kind}")
    target = context.stored(NUMPY[kind.dtype])
    if array.dtype == target:
        return array
    if target.kind in "iu" and array.size:
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise InputError(f"input {name!r}: not finite, declared {kind}")
        limits = np.iinfo(target)
        if array.min() < limits.min or array.max() > limits.max:
            raise InputError(f"input {name!r}: values out of the range of {kind.dtype}")
        if array.dtype.kind == "f" and not (array == np.trunc(array)).all():
            raise InputError(f"input {name!r}: fractional values, declared {kind}")
    with np.errstate(all="ignore"):
        return array.astype(target)


class _State:
    """What a state argument is at run time: a named slot of the caller's state."""

    __slots__ = ("dtype", "name", "slots", "type")

    def __init__(self, name: str, kind: StateType, slots: State | None, context: Context) -> None:
        if slots is None or name not in slots:
            raise InputError(f"the function needs the state {name!r}: pass state=model.make_state()")
        shape = np.shape(slots[name])
        if not kind.wrapped.accepts_shape(shape):
            raise InputError(f"state {name!r}: shape {list(shape)}, declared {kind.wrapped}")
        self.name, self.type, self.slots = name, kind, slots
        self.dtype = context.stored(NUMPY[kind.wrapped.dtype])

    def read(self) -> Array:
        return np.array(self.slots[self.name], self.dtype)

    def write(self, value: Array) -> None:
        if not self.type.wrapped.accepts_shape(value.shape) or value.dtype != self.dtype:
            raise ValueError(f"{name_of(value.dtype)}{list(value.shape)} written to a state of {self.type.wrapped}")
        current = self.slots[self.name]
        if current.dtype == value.dtype and current.flags.writeable:
            current[...] = value
        else:
            self.slots[self.name] = value.copy()


class _Planner:
    """Turns blocks into plans: finds kernels, converts constants once, works out when a value is dead."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def plan(self, block: Block, outer: Mapping[str, Any]) -> _Plan:
        constants = {name: self._store(literal) for name, literal in block.constants.items()}
        known = {**outer, **constants}
        steps: list[_Step] = []
        for operation in block.operations:
            step = self._step(operation, known)
            if operation.type.startswith("constexpr_") and not step.variable:
                results = _Execution(self._context, None).results(step, {})
                for output, value in zip(operation.outputs, results, strict=True):
                    constants[output.name] = known[output.name] = value
            else:
                steps.append(step)
        used = set(block.outputs)
        for step in reversed(steps):  # a value is dead after the last operation that mentions it
            names = _mentioned(step.operation) | {o.name for o in step.operation.outputs}
            step.dead = tuple(names - used - constants.keys() - outer.keys())
            used |= names
        return _Plan(block.inputs, block.outputs, constants, steps)

    def _store(self, literal: Literal) -> Any:
        return self._stored_value(literal.value)

    def _stored_value(self, value: Any) -> Any:
        if isinstance(value, np.ndarray) and value.dtype.kind == "f":
            return value.astype(self._context.stored(value.dtype), copy=False)
        return tuple(self._stored_value(v) for v in value) if isinstance(value, tuple) else value

    def _step(self, operation: Operation, known: Mapping[str, Any]) -> _Step:
        kernel = KERNELS[operation.type]
        unknown = operation.inputs.keys() - kernel.parameters
        absent = kernel.required - operation.inputs.keys()
        if unknown or absent:
            what = (
                f"no parameter {', '.join(sorted(unknown))}" if unknown else f"{', '.join(sorted(absent))} is missing"
            )
            raise InvalidProgram(operation.type, operation.label, what)
        fixed: dict[str, Any] = {}
        variable: list[tuple[str, str | tuple[Any, ...], Callable[[Any], Any] | None]] = []
        stored: dict[str, Any] = {}  # constant arguments as stored, to know their data types
        for parameter, argument in operation.inputs.items():
            convert = kernel.coerce.get(parameter)
            value = self._constant(argument, known)
            if value is not _VARIABLE:
                stored[parameter] = value
                value = value if kernel.raw else _widened(value, self._context.mode)
                fixed[parameter] = convert(value) if convert else value
            elif isinstance(argument, ValueRef):
                variable.append((parameter, argument.name, convert))
            else:
                assert isinstance(argument, tuple)
                parts = tuple(a.name if isinstance(a, ValueRef) else self._store(a) for a in argument)
                variable.append((parameter, parts, convert))
        names = {parameter: source for parameter, source, _ in variable}
        return _Step(
            operation,
            kernel,
            fixed,
            variable,
            like=None if kernel.raw else _like(kernel, stored, names),
            same=tuple(p for p in kernel.same if p in names),
            blocks=[self.plan(block, known) for block in operation.blocks],
            checks=[_check_of(output, self._context) for output in operation.outputs],
        )

    def _constant(self, argument: Argument, known: Mapping[str, Any]) -> Any:
        if isinstance(argument, Literal):
            return self._store(argument)
        if isinstance(argument, ValueRef):
            return known.get(argument.name, _VARIABLE)
        values = tuple(self._constant(a, known) for a in argument)
        return _VARIABLE if any(v is _VARIABLE for v in values) else values


_VARIABLE = object()


def _mentioned(operation: Operation) -> set[str]:
    names: set[str] = set()
    for argument in operation.inputs.values():
        for part in argument if isinstance(argument, tuple) else (argument,):
            if isinstance(part, ValueRef):
                names.add(part.name)
    for block in operation.blocks:
        names |= set(block.outputs)
        for inner in block.operations:
            names |= _mentioned(inner)
    return names


def _like(kernel: Kernel, stored: Mapping[str, Any], names: Mapping[str, Any]) -> Any:
    """Where the data type of the result comes from: a fixed data type, or the name of a value that has it."""
    wanted = kernel.like
    if wanted == NON_CONSTANT:
        wanted = next(iter(names), kernel.order[0])
    if wanted in names:
        source = names[wanted]
        if isinstance(source, tuple):
            source = next(s for s in source if isinstance(s, str))
        return source
    value = stored.get(wanted)
    while isinstance(value, tuple) and value:
        value = value[0]
    return value.dtype if isinstance(value, np.ndarray) else None


def _check_of(output: NamedType, context: Context) -> tuple[str, np.dtype[Any] | None, TensorType | None]:
    kind = output.type
    if isinstance(kind, TensorType) and kind.dtype != "string":
        return output.name, context.stored(NUMPY[kind.dtype]), kind
    return output.name, None, None


def _widened(value: Any, mode: str) -> Any:
    """fp16 as float32 for computing kernels in mode `wide`; other modes compute in the stored type."""
    if mode != WIDE:
        return value
    if isinstance(value, np.ndarray):
        return cast(value, FLOAT32) if value.dtype == FLOAT16 else value
    return tuple(_widened(v, mode) for v in value) if isinstance(value, tuple) else value


class _Execution:
    """The execution of one plan."""

    def __init__(self, context: Context, observer: Observer | None) -> None:
        self._context = context
        self._observer = observer
        self._watching = True

    def block(self, plan: _Plan, values: dict[str, Any]) -> list[Any]:
        """Run the plan's steps on `values` (which it changes) and return the block's outputs."""
        values.update(plan.constants)
        for step in plan.steps:
            results = self.results(step, values)
            for (name, _, _), result in zip(step.checks, results, strict=True):
                values[name] = result
            if self._observer is not None:
                self._observer(step.operation, tuple(results))
            for name in step.dead:
                values.pop(name, None)
        try:
            return [values[name] for name in plan.outputs]
        except KeyError as error:
            raise InvalidProgram("block", str(error.args[0]), "is an output but was never computed") from None

    def results(self, step: _Step, values: dict[str, Any]) -> list[Any]:
        """Results of one operation: arguments gathered, kernel called, types rounded and checked."""
        context, operation, kernel = self._context, step.operation, step.kernel
        context.op_type, context.output = operation.type, operation.label
        arguments = self._arguments(step, values)
        like = values[step.like].dtype if isinstance(step.like, str) else step.like
        context.dtype = like
        context.unsettled.clear()
        try:
            if kernel.blocks:
                runners = [self._runner(plan, values) for plan in step.blocks]
                computed = kernel.function(context, runners, **arguments)
            else:
                computed = kernel.function(context, **arguments)
        except MilError:
            raise
        except Exception as error:
            raise KernelError(operation.type, operation.label, error) from error
        if not isinstance(computed, list):
            computed = [computed]
        if len(computed) != len(step.checks):
            raise InvalidProgram(
                operation.type, operation.label, f"{len(step.checks)} outputs declared, {len(computed)} computed"
            )
        results = []
        for value, (name, dtype, declared) in zip(computed, step.checks, strict=True):
            if declared is None:
                results.append(value)
                continue
            array = np.asarray(value)
            if like is not None and array.dtype != like:
                array = cast(array, like)
            if array.dtype != dtype or not declared.accepts_shape(array.shape):
                found = f"{name_of(array.dtype)}[{', '.join(map(str, array.shape))}]"
                raise InvalidProgram(operation.type, name, f"declared {declared}, computed {found}")
            results.append(_filled(array, context) if context.filling and context.unsettled else array)
        if self._watching and not _finite(results):
            self._report_non_finite(step, values, results)
        return results

    def _arguments(self, step: _Step, values: dict[str, Any]) -> dict[str, Any]:
        arguments = dict(step.fixed)
        widen = not step.kernel.raw and self._context.mode == WIDE
        for parameter, source, convert in step.variable:
            try:
                value = (
                    values[source]
                    if isinstance(source, str)
                    else tuple(values[s] if isinstance(s, str) else s for s in source)
                )
            except KeyError as error:
                raise InvalidProgram(
                    step.operation.type, step.operation.label, f"{parameter} uses undefined value {error.args[0]!r}"
                ) from None
            if widen:
                value = _widened(value, WIDE)
            arguments[parameter] = convert(value) if convert else value
        if len(step.same) > 1:
            dtypes = {p: values[s].dtype for p, s, _ in step.variable if p in step.same and isinstance(s, str)}
            if len(set(dtypes.values())) > 1:
                found = ", ".join(f"{p} is {name_of(d)}" for p, d in dtypes.items())
                raise InvalidProgram(step.operation.type, step.operation.label, f"data types differ: {found}")
        return arguments

    def _runner(self, plan: _Plan, outer: dict[str, Any]) -> Callable[..., list[Any]]:
        def run(*arguments: Any) -> list[Any]:
            saved = self._context.op_type, self._context.output
            inner = dict(outer)
            inner.update((i.name, a) for i, a in zip(plan.inputs, arguments, strict=True))
            outputs = self.block(plan, inner)
            self._context.op_type, self._context.output = saved
            return outputs

        return run

    def _report_non_finite(self, step: _Step, values: Mapping[str, Any], results: list[Any]) -> None:
        """The first operation that makes a non-finite value of finite ones; later ones only hand it on."""
        arguments: list[Any] = [v for v in step.fixed.values() if isinstance(v, (np.ndarray, tuple, float))]
        for _, source, _ in step.variable:
            arguments += [
                values[s] if isinstance(s, str) else s for s in ([source] if isinstance(source, str) else source)
            ]
        if not _finite(arguments):
            return
        self._watching = False
        for (name, _, declared), value in zip(step.checks, results, strict=True):
            if not _finite([value]):
                nan, inf = int(np.isnan(value).sum()), int(np.isinf(value).sum())
                detail = f"{nan} NaN and {inf} infinite of {value.size} elements ({declared})"
                self._context.diagnostics.append(Diagnostic(NON_FINITE, step.operation.type, name, detail))


def _filled(array: Array, context: Context) -> Array:
    """The result of an operation with something arbitrary where it is not settled: NaN, 0 and False, or 1 and True.

    Two, so that whatever it was before, one of them differs."""
    fill = np.nan if array.dtype.kind == "f" and context.filling == 1 else context.filling - 1
    filled = array.copy()
    for where in context.unsettled:
        if where is None or where.shape != array.shape:
            filled[...] = fill
        else:
            filled[where] = fill
    return filled


def _finite(values: Any) -> bool:
    for value in values:
        if isinstance(value, tuple):
            if not _finite(value):
                return False
        elif isinstance(value, float):
            if not np.isfinite(value):
                return False
        elif isinstance(value, np.ndarray) and value.dtype.kind == "f":
            if value.dtype == FLOAT16:
                # Without the sign bit, infinities and NaN are the largest bit patterns.
                if value.size and (value.view(np.uint16) << np.uint16(1)).max() >= 0xF800:
                    return False
            # A finite sum proves every term finite, in one pass; an overflowing one proves nothing.
            elif not np.isfinite(value.sum()) and not np.isfinite(value).all():
                return False
    return True
