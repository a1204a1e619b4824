"""An operator instance computed twice: by coremltools' `value_inference`, and by our kernel in a program of its own.

Both get the same arrays. What coremltools' builder infers for the output (data type, shape) is what our program
declares, so that the interpreter's own check compares the types.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any

import coremltools as ct
import numpy as np
from coremltools.converters.mil import Builder as mb
from coremltools.converters.mil.mil import Function as MilFunction
from coremltools.converters.mil.mil import types
from mil_instances import Instance, is_constant, values

from harness.mil import Description, Function, MilError, Model, Operation, Program, TensorType
from harness.mil.program import Argument, Block, Literal, NamedType, ValueRef
from harness.mil.types import FLOAT16, Array, name_of

TARGETS = {5: "iOS15", 6: "iOS16", 7: "iOS17", 8: "iOS18", 9: "iOS26"}
# Roundings allowed between two right answers that differ in the order of summation or the library of functions.
ULPS = {np.dtype(np.float32): 16, FLOAT16: 2}
# Operators whose terms may cancel: what is left is compared with the size of the terms, see `summation`.
SUMS = frozenset({"reduce_sum", "reduce_mean", "cumsum", "matmul", "linear", "einsum"})


@dataclass(frozen=True)
class Result:
    """What one side says: arrays, with their declared types, or why there is none."""

    arrays: tuple[Array, ...] = ()
    types: tuple[TensorType, ...] = ()
    error: str = ""
    silent: bool = False  # coremltools has no `value_inference` for this operator, or it declines these arguments


def coremltools_says(instance: Instance, given: dict[str, Any]) -> Result:
    """What `mb.<op>` of constants infers. An exception raised on the way is an error of coremltools."""
    arguments = {name: _own(v) for name, v in given.items()}
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"), MilFunction({}, _target(instance)):
            warnings.simplefilter("ignore")
            made = getattr(mb, instance.op)(**arguments)
    except Exception as error:
        return Result(error=f"{type(error).__name__}: {error}")
    variables = made if isinstance(made, (list, tuple)) else (made,)
    declared = tuple(_type(v) for v in variables)
    if any(v.val is None for v in variables):
        return Result(types=declared, silent=True)
    return Result(tuple(np.asarray(v.val) for v in variables), declared)


def _own(value: Any) -> Any:
    """The value as coremltools' frontends hand it over: several bindings as a list, rank 0 as a scalar (a truth value
    as Python's own); and a copy, because some of its functions compute in the array they are given."""
    if isinstance(value, tuple):
        return [_own(v) for v in value]
    if not isinstance(value, np.ndarray):
        return value
    return bool(value) if value.shape == () and value.dtype.kind == "b" else value.copy()[()]


def _target(instance: Instance) -> Any:
    return getattr(ct.target, TARGETS[instance.opset])


def _type(variable: Any) -> TensorType:
    shape = tuple(None if types.symbolic.is_symbolic(d) else int(d) for d in variable.shape)
    return TensorType(types.builtin_to_string(variable.dtype), shape)


def we_say(instance: Instance, given: dict[str, Any], declared: tuple[TensorType, ...], mode: str = "wide") -> Result:
    """Our kernel on the same values, in a program whose outputs are declared as coremltools inferred them."""
    inputs: list[NamedType] = []
    feed: dict[str, Array] = {}

    def bind(name: str, value: Any, constant: bool) -> ValueRef | Literal:
        if isinstance(value, str):
            return Literal(value, TensorType("string", ()))
        kind = TensorType(name_of(value.dtype), value.shape)
        if constant:
            return Literal(value, kind)
        inputs.append(NamedType(name, kind))
        feed[name] = value
        return ValueRef(name)

    arguments: dict[str, Argument] = {}
    for name, value in given.items():
        argument = instance.arguments[name]
        if isinstance(value, tuple):
            arguments[name] = tuple(
                bind(f"{name}{n}", v, is_constant(a)) for n, (v, a) in enumerate(zip(value, argument, strict=True))
            )
        else:
            arguments[name] = bind(name, value, is_constant(argument))
    outputs = tuple(NamedType(f"out{n}", kind) for n, kind in enumerate(declared))
    operation = Operation(instance.op, instance.op, arguments, outputs)
    block = Block((), tuple(o.name for o in outputs), (operation,))
    function = Function("main", f"CoreML{instance.opset}", tuple(inputs), block, Description())
    try:
        result = Model(Program({"main": function})).run(feed, mode=mode)
    except MilError as error:
        return Result(types=declared, error=f"{type(error).__name__}: {error}")
    return Result(tuple(np.asarray(result.outputs[o.name]) for o in outputs), declared)


@dataclass(frozen=True)
class Difference:
    """The two sides of an instance where they disagree, and the values both were given."""

    instance: Instance
    given: dict[str, Any]
    theirs: Result
    ours: Result

    @property
    def op(self) -> str:
        return self.instance.op

    def where(self) -> Array:
        """Which elements of the first output disagree; all of them where the shapes do."""
        return disagreement(self.theirs.arrays[0], self.ours.arrays[0], self.theirs.types[0])

    def __str__(self) -> str:
        return f"{self.instance}: coremltools {_brief(self.theirs)}, our kernel {_brief(self.ours)}"


def _brief(result: Result) -> str:
    return result.error or "; ".join(f"{np.array2string(a.reshape(-1)[:6], precision=8)}" for a in result.arrays)


def disagreement(theirs: Array, ours: Array, kind: TensorType) -> Array:
    """Elements that differ by more than rounding in the declared type: `ULPS` units in the larger one's last place."""
    if theirs.shape != ours.shape:
        return np.ones(theirs.shape, bool)
    if kind.dtype in ("fp16", "fp32"):
        tolerance = ULPS[ours.dtype]
        with np.errstate(all="ignore"):
            a, b = theirs.astype(ours.dtype), ours
            spacing = np.spacing(np.maximum(np.abs(a), np.abs(b))).astype(np.float64)
            close = np.abs(a.astype(np.float64) - b.astype(np.float64)) <= tolerance * spacing
        return ~(close | (a == b) | (np.isnan(a) & np.isnan(b)))
    return np.asarray(theirs.astype(np.float64) != ours.astype(np.float64))


def compare(instance: Instance, draw: int = 0) -> Difference | bool:
    """A difference; or True where both sides agree, False where coremltools says nothing."""
    given = values(instance, draw)
    theirs = coremltools_says(instance, given)
    if theirs.silent:
        return False
    if theirs.error:
        return Difference(instance, given, theirs, Result())
    ours = we_say(instance, given, theirs.types)
    if ours.error:
        return Difference(instance, given, theirs, ours)
    pairs = zip(theirs.arrays, ours.arrays, theirs.types, strict=True)
    if all(not disagreement(a, b, kind).any() and a.shape == b.shape for a, b, kind in pairs):
        return True
    difference = Difference(instance, given, theirs, ours)
    return difference if instance.op not in SUMS or not summation(difference) else True


def widened(difference: Difference) -> bool:
    """True when nothing is left of the difference once coremltools computes in fp32 and rounds at the end."""
    if not any(isinstance(v, np.ndarray) and v.dtype == FLOAT16 for v in _leaves(difference.given)):
        return False
    given = {name: _float32(v) for name, v in difference.given.items()}
    theirs = coremltools_says(difference.instance, given)
    if theirs.silent or theirs.error or not difference.ours.arrays:
        return False
    with np.errstate(all="ignore"):
        arrays = tuple(a.astype(b.dtype) for a, b in zip(theirs.arrays, difference.ours.arrays, strict=True))
    again = replace(theirs, arrays=arrays, types=difference.theirs.types)
    pairs = zip(again.arrays, difference.ours.arrays, again.types, strict=True)
    return all(a.shape == b.shape and not disagreement(a, b, kind).any() for a, b, kind in pairs)


def _float32(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_float32(v) for v in value)
    return value.astype(np.float32) if isinstance(value, np.ndarray) and value.dtype == FLOAT16 else value


def _leaves(given: dict[str, Any]) -> list[Any]:
    return [leaf for v in given.values() for leaf in (v if isinstance(v, tuple) else (v,))]


def summation(difference: Difference) -> bool:
    """True when two sums in fp32 differ by no more than the order of their terms can make of it: 16 roundings of the
    sum of magnitudes, which is what our kernel makes of the absolute values of all operands."""
    if any(kind.dtype != "fp32" for kind in difference.theirs.types):
        return False
    given = {name: _absolute(v) for name, v in difference.given.items()}
    magnitude = we_say(difference.instance, given, difference.theirs.types, mode="exact")
    if magnitude.error:
        return False
    theirs, ours = difference.theirs.arrays[0], difference.ours.arrays[0]
    if theirs.shape != ours.shape:
        return False
    error = np.abs(theirs.astype(np.float64) - ours.astype(np.float64))
    return bool((error <= 16 * np.finfo(np.float32).eps * np.abs(magnitude.arrays[0])).all())


def _absolute(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_absolute(v) for v in value)
    return np.abs(value) if isinstance(value, np.ndarray) and value.dtype.kind == "f" else value


def approximately(difference: Difference, relative_to_input: bool = False) -> bool:
    """True when nothing but rounding inside the formula is left: within 16 roundings to fp32 of the value (of 1 where
    that is larger), or of the input `x`, which the result may be a small part of."""
    if not difference.theirs.arrays or not difference.ours.arrays:
        return False
    theirs, ours = (r.arrays[0].astype(np.float64) for r in (difference.theirs, difference.ours))
    if theirs.shape != ours.shape or difference.theirs.types[0].dtype != "fp32":
        return False
    scale = np.abs(difference.given["x"]) if relative_to_input else np.maximum(np.abs(theirs), 1)
    return bool((np.abs(theirs - ours) <= 16 * np.finfo(np.float32).eps * scale).all())
