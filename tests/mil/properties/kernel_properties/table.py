"""The table of properties: for each operator a strategy of calls and an independent statement of what they give.

A call is run as a program of one operation through `harness.mil.Model`, so that arguments are converted and results
rounded by the interpreter itself. The declared types of the outputs are those of the statement: a kernel that returns
another shape or data type is an invalid program.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from harness.mil import Description, Diagnostic, Function, Model, Operation, Program, StateType, TensorType
from harness.mil.program import Block, Literal, NamedType, ValueRef
from harness.mil.types import DictionaryType, ListType, ValueType, name_of


class Listed(tuple):  # type: ignore[type-arg]
    """A MIL list given as an argument; a plain tuple of arrays is a parameter with several bindings."""


class Stateful(np.ndarray):
    """The content of a state given as an argument."""


@dataclass(frozen=True)
class Call:
    """Arrays become inputs of the program, those in `constant` and all other values literals of the operation.
    `narrow` has the MIL type of literals and inputs that numpy has none for (`uint4`); `captured` are inputs that only
    nested blocks use."""

    arguments: dict[str, Any]
    opset: int = 8
    mode: str = "wide"
    constant: frozenset[str] = frozenset()
    blocks: tuple[Block, ...] = ()
    narrow: dict[str, str] = field(default_factory=dict)
    captured: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Property:
    """`statement(**arguments)` is the expected result or a list of them; its floats are rounded to the type of argument
    `like` (None: they have their type already). `ulps` 0 asks for the same bits; otherwise that many units in the last
    place, and `slack` times the precision of the computation relative to the largest argument.
    `kinds(opset=..., **arguments)`, when given, says which kinds of diagnostics the call must leave, `leaves` what the
    states (by argument) hold afterwards. `verify(results, arguments)` takes the place of the comparison where values
    are free."""

    name: str
    calls: st.SearchStrategy[Call]
    statement: Callable[..., Any]
    like: str | None = "x"
    ulps: float = 0
    slack: float = 8
    kinds: Callable[..., set[str]] | None = None
    leaves: Callable[..., dict[str, Any]] | None = None
    verify: Callable[[list[Any], dict[str, Any]], None] | None = None


PROPERTIES: dict[str, Property] = {}


def declare(names: str, calls: st.SearchStrategy[Call], statement: Callable[..., Any], **options: Any) -> None:
    """Add a row for each of the operators named in `names`."""
    for name in names.split():
        assert name not in PROPERTIES, name
        PROPERTIES[name] = Property(name, calls, statement, **options)


def stored(value: Any, mode: str) -> Any:
    """A value as the interpreter holds it: floats are float64 in mode `exact`."""
    if isinstance(value, (tuple, list)):
        return type(value)(stored(v, mode) for v in value)
    if mode == "exact" and isinstance(value, np.ndarray) and value.dtype.kind == "f":
        return value.astype(np.float64)
    return value


def _tensor_type(value: Any, narrow: str | None = None) -> TensorType:
    return TensorType(narrow or name_of(np.asarray(value).dtype), np.shape(value))


def _literal(value: Any, narrow: str | None) -> Any:
    """A Python value as a program holds it: integers int32, floats fp32."""
    if isinstance(value, str):
        return Literal(value, TensorType("string", ()))
    if isinstance(value, tuple) and any(isinstance(v, (str, np.ndarray)) for v in value):
        return tuple(_literal(v, None) for v in value)
    if not isinstance(value, np.ndarray):
        value = np.asarray(value)
        value = value.astype({"i": np.int32, "f": np.float32, "b": np.bool_}[value.dtype.kind])
    return Literal(value, _tensor_type(value, narrow))


def _declared(value: Any) -> ValueType:
    if isinstance(value, tuple):
        return ListType(_tensor_type(value[0]), len(value))
    if isinstance(value, dict):
        return DictionaryType(TensorType("string", ()), TensorType("fp64", ()))
    return TensorType("string", ()) if isinstance(value, str) else _tensor_type(value)


def run(name: str, call: Call, declared: list[ValueType]) -> tuple[list[Any], list[Diagnostic], dict[str, Any]]:
    """Results, diagnostics and states (by argument) after the call as a program of one operation."""
    arguments: dict[str, Any] = {}
    inputs: dict[str, Any] = {}
    types: list[NamedType] = []

    def entry(key: str, value: Any, kind: ValueType) -> ValueRef:
        inputs[key] = value
        types.append(NamedType(key, kind))
        return ValueRef(key)

    for parameter, value in call.arguments.items():
        narrow = call.narrow.get(parameter)
        if isinstance(value, Stateful):
            arguments[parameter] = entry(parameter, value, StateType(_tensor_type(value)))
        elif isinstance(value, Listed):
            kind = ListType(_tensor_type(value[0]), len(value))
            arguments[parameter] = entry(parameter, stored(tuple(value), call.mode), kind)
        elif parameter in call.constant:
            arguments[parameter] = _literal(value, narrow)
        elif isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
            arguments[parameter] = entry(parameter, value, _tensor_type(value, narrow))
        elif isinstance(value, tuple) and value and all(isinstance(v, np.ndarray) for v in value):
            parts = [entry(f"{parameter}{i}", v, _tensor_type(v)) for i, v in enumerate(value)]
            arguments[parameter] = tuple(parts)
        else:
            arguments[parameter] = _literal(value, narrow)
    for key, value in call.captured.items():
        entry(key, value, _tensor_type(value))
    outputs = tuple(NamedType(f"result{i}", kind) for i, kind in enumerate(declared))
    operation = Operation(name, "operation", arguments, outputs, call.blocks)
    block = Block((), tuple(o.name for o in outputs), (operation,))
    function = Function("main", f"CoreML{call.opset}", tuple(types), block, Description())
    states = {k: np.array(v, copy=True) for k, v in inputs.items() if isinstance(v, Stateful)}
    states = {k: stored(np.asarray(v), call.mode) for k, v in states.items()}
    tensors = {k: v for k, v in inputs.items() if k not in states}
    result = Model(Program({"main": function})).run(tensors, mode=call.mode, state=states or None)
    return list(result.outputs.values()), result.diagnostics, states


def compare(got: Any, want: Any, ulps: float, slack: float, mode: str) -> None:
    """`got` is `want`; floats within the bound described at `Property`."""
    if isinstance(want, (tuple, dict, str)):
        if isinstance(want, tuple):
            assert len(got) == len(want)
            for one, other in zip(got, want, strict=True):
                compare(one, other, ulps, slack, mode)
        else:
            assert got == want
        return
    assert got.dtype == want.dtype, f"{got.dtype}, not {want.dtype}"
    assert got.shape == want.shape, f"{got.shape}, not {want.shape}"
    if want.dtype.kind != "f":
        np.testing.assert_array_equal(got, want)
        return
    np.testing.assert_array_equal(np.isnan(got), np.isnan(want), "NaN at other places")
    number = ~np.isnan(want)
    if ulps == 0:
        np.testing.assert_array_equal(got, want)
        np.testing.assert_array_equal(np.signbit(got[number]), np.signbit(want[number]), "signs of zero")
        return
    finite = np.isfinite(want)
    a, b = got[number & ~finite], want[number & ~finite]
    np.testing.assert_array_equal(a, b, "infinities")
    a, b = got[finite].astype(np.float64), want[finite].astype(np.float64)
    with np.errstate(all="ignore"):
        bound = ulps * np.spacing(np.abs(want[finite])).astype(np.float64) + slack * (
            2.0**-52 if mode == "exact" else 2.0**-23
        )
        wrong = ~(np.abs(a - b) <= bound)
    assert not wrong.any(), f"{a[wrong][:4]}, not {b[wrong][:4]} (bound {bound[wrong][:4]})"


def _largest(arguments: dict[str, Any]) -> float:
    """The largest finite magnitude among float arguments, at least 1."""
    found = 1.0
    for value in arguments.values():
        for part in value if isinstance(value, tuple) else (value,):
            if isinstance(part, np.ndarray) and part.dtype.kind == "f" and np.isfinite(part).any():
                found = max(found, float(np.abs(part[np.isfinite(part)]).max()))
    return found


def check_call(row: Property, call: Call) -> None:
    """Run one call and compare it with the statement."""
    arguments = {k: stored(v, call.mode) for k, v in (call.arguments | call.captured).items()}
    with np.errstate(all="ignore"):
        wanted = row.statement(**arguments)
        wanted = wanted if isinstance(wanted, list) else [wanted]
        if row.like is not None:
            source = arguments[row.like]
            dtype = (source[0] if isinstance(source, tuple) else source).dtype
            wanted = [np.asarray(w).astype(dtype) for w in wanted]
        wanted = [w if isinstance(w, (tuple, dict, str)) else np.asarray(w) for w in wanted]
    kinds = [_declared(w) for w in wanted]
    got, diagnostics, states = run(row.name, call, kinds)
    assert len(got) == len(wanted)
    slack = row.slack * _largest(arguments)
    if row.verify is not None:
        row.verify(got, arguments)
    else:
        for one, other in zip(got, wanted, strict=True):
            compare(one, other, row.ulps, slack, call.mode)
    if row.leaves is not None:
        for parameter, content in row.leaves(**arguments).items():
            compare(states[parameter], np.asarray(content), 0, 0, call.mode)
    if row.kinds is not None:
        assert {d.kind for d in diagnostics} - {"non_finite"} == row.kinds(opset=call.opset, **arguments)


def check(name: str, examples: int = 100, shrink: bool = True) -> None:
    """The property of operator `name`, on the same calls each time. Raises what the first failing call raises."""
    row = PROPERTIES[name]
    phases = (Phase.generate, Phase.shrink) if shrink else (Phase.generate,)

    @settings(
        derandomize=True,
        deadline=None,
        max_examples=examples,
        database=None,
        phases=phases,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    @given(call=row.calls)
    def holds(call: Call) -> None:
        check_call(row, call)

    holds()
