"""Ways to plant a fault in coremltools' torch converter: functions from `pytest.MonkeyPatch`, undone with it.

A converter function reads the arguments of a torch node and calls MIL's builder. So a fault is planted where an
argument is read, where an operator is built, or where dtypes are promoted.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import coremltools.converters.mil.frontend.torch.ops as converters
import numpy as np
import pytest

from harness.cases.index.generated import signature_of

Plant = Callable[[pytest.MonkeyPatch], None]
Arguments = dict[str, Any]
#: What an argument that is left out reads as: the converter goes by its own default.
LEFT_OUT = object()


def builds(op: str, faulty: Callable[..., Any]) -> Plant:
    """The converters build MIL `op` by `faulty(mb, **arguments)`, `mb` being the right builder."""

    class Builder:
        def __getattr__(self, name: str) -> Any:
            return (lambda **arguments: faulty(builder, **arguments)) if name == op else getattr(builder, name)

    builder = converters.mb
    return lambda patch: patch.setattr(converters, "mb", Builder())


def emits(op: str, change: Callable[[Arguments], Arguments], instead: str = "") -> Plant:
    """The converters build MIL `op` (or another one `instead`) with its arguments changed."""
    return builds(op, lambda mb, **arguments: getattr(mb, instead or op)(**change(arguments)))


def scaled(op: str, factor: float) -> Plant:
    """The result of MIL `op` is multiplied."""

    def faulty(mb: Any, name: str | None = None, **arguments: Any) -> Any:
        named = {} if name is None else {"name": name}
        return mb.mul(x=getattr(mb, op)(**arguments), y=np.float32(factor), **named)

    return builds(op, faulty)


def with_(**changes: Any) -> Callable[[Arguments], Arguments]:
    """Arguments replaced; a function is called with the arguments, and only where the one it replaces is given."""

    def change(given: Arguments) -> Arguments:
        plain = {k: v for k, v in changes.items() if not callable(v)}
        made = {k: v(given) for k, v in changes.items() if callable(v) and given.get(k) is not None}
        return {**given, **plain, **made}

    return change


def swapped(first: str, second: str) -> Callable[[Arguments], Arguments]:
    return lambda given: {**given, first: given[second], second: given[first]}


def without(name: str) -> Callable[[Arguments], Arguments]:
    """MIL's own default instead of the argument."""
    return lambda given: {k: v for k, v in given.items() if k != name}


def same(given: Arguments) -> Arguments:
    return given


def constant(given: Arguments, name: str) -> Any:
    """The value of an argument that is constant, however it is given."""
    value = given[name]
    return np.asarray(getattr(value, "val", value))


def misread(op: str, **changes: Any) -> Plant:
    """The converter of an ATen overload reads arguments, by their names in the schema, other than they are.

    A function is called with the argument (a number, a list, or the name of a value); a plain value is read whatever is
    given. Only arguments that the call gives are misread; `LEFT_OUT` leaves them out, and those after them.
    """
    names = [parameter.name for parameter in signature_of(op)]
    packet = op.split(".")[1]
    right = converters.convert_single_node

    def changed(name: str, value: Any) -> Any:
        change = changes[name]
        return change(value) if callable(change) else change

    def planted(context: Any, node: Any) -> None:
        if node.kind.split(".")[0].removesuffix("_copy") == packet:  # views come as copies
            node = copy.copy(node)
            keywords = dict(node.kwinputs or {})
            inputs = list(node.inputs)
            for name in changes:
                place = names.index(name)
                if place < len(inputs):
                    value = changed(name, inputs[place])
                    inputs[place:] = [] if value is LEFT_OUT else [value, *inputs[place + 1 :]]
                elif name in keywords:
                    value = changed(name, keywords[name][0])
                    keywords.pop(name) if value is LEFT_OUT else keywords.update({name: (value,)})
            node.inputs, node.kwinputs = tuple(inputs), keywords or None
        right(context, node)

    return lambda patch: patch.setattr(converters, "convert_single_node", planted)


def promotes(faulty: Callable[..., Any]) -> Plant:
    """Operands of several dtypes are brought to one by `faulty(mb, operands)`."""
    return lambda patch: patch.setattr(
        converters, "promote_input_dtypes", lambda operands: faulty(converters.mb, operands)
    )
