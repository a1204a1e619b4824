"""Kernels by operator name, and what the interpreter must know about each of them.

A kernel is a function of a `Context` and the operator's own parameters, named as MIL names them and with MIL's
defaults. Annotations are the contract of a parameter: `int`, `float`, `bool`, `str` and `Ints` arrive as Python
values, `Array` as a numpy array, `Arrays` as a tuple of them. Two flavours:

- a *computing* kernel gets floating-point arguments in the compute type of the mode and returns its result in that
  type; the interpreter rounds it once, to the type of the parameter called `like` (by default the first one);
- a *raw* kernel (data movement, comparison, casts, indices) gets values as they are stored, and the type of what it
  returns is the type of the result.

Several results (also none) are returned as a list; a tuple is one value, a MIL list.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

Ints = tuple[int, ...]
Arrays = tuple[Any, ...]
NON_CONSTANT = "non_constant"  # as `like`: the type of the first operand that is not a constant


def to_ints(value: Any) -> Ints:
    """A MIL integer vector (array, tuple of scalars or one scalar) as a tuple of ints."""
    if isinstance(value, np.ndarray):
        return tuple(int(v) for v in value.reshape(-1).tolist())
    return tuple(int(v) for v in value) if isinstance(value, Sequence) else (int(value),)


def to_arrays(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def _item(convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def scalar(value: Any) -> Any:
        return convert(value.item() if isinstance(value, np.ndarray) else value)

    return scalar


_COERCE: dict[str, Callable[[Any], Any]] = {
    "int": _item(int),
    "float": _item(float),
    "bool": _item(bool),
    "str": str,
    "Ints": to_ints,
    "Arrays": to_arrays,
}


@dataclass(frozen=True, slots=True)
class Kernel:
    """`coerce` has the conversion of each parameter that is not an array; `same` names parameters whose data types
    MIL requires to be equal; `blocks` says that the kernel runs nested blocks."""

    name: str
    family: str
    function: Callable[..., Any]
    order: tuple[str, ...]
    parameters: frozenset[str]
    required: frozenset[str]
    coerce: dict[str, Callable[[Any], Any]]
    raw: bool
    like: str
    same: tuple[str, ...]
    blocks: bool


KERNELS: dict[str, Kernel] = {}


def kernel(
    name: str,
    *,
    raw: bool = False,
    like: str | None = None,
    same: tuple[str, ...] = (),
    blocks: bool = False,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register the decorated function as the kernel of operator `name`."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        parameters = list(inspect.signature(function).parameters.values())[1:]  # the first is the context
        if blocks:
            parameters = parameters[1:]  # the second is the list of blocks
        coerce = {}
        for parameter in parameters:
            convert = _COERCE.get(str(parameter.annotation).removesuffix(" | None"))
            if convert is not None:
                coerce[parameter.name] = convert
        KERNELS[name] = Kernel(
            name=name,
            family=function.__module__.rpartition(".")[2],
            function=function,
            order=tuple(p.name for p in parameters),
            parameters=frozenset(p.name for p in parameters),
            required=frozenset(p.name for p in parameters if p.default is inspect.Parameter.empty),
            coerce=coerce,
            raw=raw,
            like=like or (parameters[0].name if parameters else ""),
            same=same,
            blocks=blocks,
        )
        return function

    return register


def available() -> list[str]:
    """Operators that have a kernel, sorted."""
    import_module("harness.mil.kernels")  # registers them
    return sorted(KERNELS)


def documentation(name: str) -> str:
    """What the kernel of an operator computes: its parameters with their defaults, its own words, and those of its
    family, which say what all of them have in common and name the source. Raises KeyError."""
    import_module("harness.mil.kernels")
    found = KERNELS[name]
    signature = inspect.signature(found.function)
    kept = [signature.parameters[parameter] for parameter in found.order]
    shown = ", ".join(str(p.replace(annotation=str(p.annotation))).replace("'", "") for p in kept)
    family = inspect.getdoc(sys.modules[found.function.__module__])
    return f"{name}({shown})\n\n{inspect.getdoc(found.function) or ''}\n\nFamily {found.family}: {family}"
