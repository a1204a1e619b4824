"""What a user may give: `(module, example_inputs)` or `(module, example_inputs, options)`, made into a `Built`.

Inputs are any pytree; a dict is keyword arguments. A module may be one that `torch.export` gave.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch.utils._pytree import tree_flatten

from harness.cases.case import Arguments, Built, CaseFault, Method, NoCase, Partitioning

EXPECTED = "expected (module, example_inputs) or (module, example_inputs, options)"

#: What `options` may hold: of a case, and of one of its further methods.
OPTIONS = ("kwargs", "dynamic_shapes", "calls", "refused", "methods", "partitioner", "enumerated_shapes")
METHOD_OPTIONS = ("kwargs", "dynamic_shapes", "calls", "refused")

#: Not the user's to set: recipes say precision and target.
_OF_THE_RECIPE = "compile_specs"


def built_of(given: object, where: str, seed: int) -> Built:
    """A case made real of what a function named `where` returned.

    Raises `NoCase` for what does not begin with a module, and `CaseFault` for a module with something else than inputs
    and options.
    """
    if not (isinstance(given, tuple) and len(given) in (2, 3) and _is_module(given[0])):
        raise NoCase(f"{where}: returned {_described(given)}, {EXPECTED}")
    options = _options(given[2], OPTIONS) if len(given) == 3 else {}
    own = _method("forward", given[0], given[1], options)
    return Built(
        own.module,
        own.inputs,
        seed,
        own.dynamic_shapes,
        Partitioning(
            options=_partitioner(options.get("partitioner", {})),
            enumerated=_enumerated(options.get("enumerated_shapes", {})),
        ),
        beside=_methods(options.get("methods", {})),
        kwargs=own.kwargs,
        calls=own.calls,
        program=own.program,
        judge_beside=True,
        refused=own.refused,
    )


def _is_module(value: object) -> bool:
    return isinstance(value, (torch.nn.Module, torch.export.ExportedProgram))


def _described(value: object) -> str:
    if isinstance(value, tuple):
        return f"a tuple of {', '.join(type(item).__name__ for item in value) or 'nothing'}"
    return type(value).__name__


def _options(given: object, known: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        raise CaseFault(f"options are a dict, not {type(given).__name__}")
    unknown = [key for key in given if key not in known]
    if unknown:
        raise CaseFault(f"options: unknown key {unknown[0]!r}: known are {', '.join(known)}")
    return dict(given)


def _method(name: str, given: Any, inputs: object, options: Mapping[str, Any]) -> Method:
    kwargs = options.get("kwargs", {})
    if not (isinstance(kwargs, Mapping) and all(isinstance(key, str) for key in kwargs)):
        raise CaseFault(f"options: kwargs are a dict by name, not {_described(kwargs)}")
    first = _arguments(inputs, Arguments((), dict(kwargs)), "example_inputs")
    further, refused = (_calls(key, options.get(key, ()), first) for key in ("calls", "refused"))
    module, program = (given, None) if isinstance(given, torch.nn.Module) else (given.module(), given)
    dynamic_shapes = options.get("dynamic_shapes")
    if program is not None and dynamic_shapes is not None:
        raise CaseFault("options: dynamic_shapes are for a module: those of an exported program are its own")
    return Method(name, evaluating(module), first.inputs, first.kwargs, dynamic_shapes, further, program, refused)


def _calls(key: str, given: object, first: Arguments) -> tuple[Arguments, ...]:
    if not isinstance(given, (list, tuple)):
        raise CaseFault(f"options: {key} are a list of inputs, not {type(given).__name__}")
    return tuple(_further(call, first, f"{key}[{number}]") for number, call in enumerate(given))


def _arguments(given: object, default: Arguments, what: str) -> Arguments:
    """A tensor, a tuple of positional arguments, or a dict of keyword arguments beside those of `default`."""
    if isinstance(given, torch.Tensor):
        return Arguments((given,), default.kwargs)
    if isinstance(given, Mapping):
        if not all(isinstance(key, str) for key in given):
            raise CaseFault(f"{what}: a dict is keyword arguments, whose keys are names")
        return Arguments(default.inputs, {**default.kwargs, **given})
    if isinstance(given, (tuple, list)):
        return Arguments(tuple(given), default.kwargs)
    raise CaseFault(f"{what}: a tensor, a tuple of arguments or a dict of keyword arguments, not {_described(given)}")


def _further(given: object, first: Arguments, what: str) -> Arguments:
    """A further call: what it does not give, of positional or of keyword arguments, is as in the first."""
    found = _arguments(given, first, what)
    if unknown := [name for name in found.kwargs if name not in first.kwargs]:
        raise CaseFault(f"{what}: {unknown[0]!r} is no argument of the first call, which the program is made from")
    found = Arguments(_in_order(found.inputs, first.inputs), _in_order(dict(found.kwargs), dict(first.kwargs)))
    here, there = (tree_flatten((one.inputs, dict(one.kwargs))) for one in (found, first))
    if here[1] != there[1]:
        raise CaseFault(f"{what}: {len(here[0])} arguments that do not match the {len(there[0])} of the first call")
    return found


def _in_order(given: Any, like: Any) -> Any:
    """The same, each dict in the order of the one in its place."""
    if isinstance(given, dict) and isinstance(like, dict) and given.keys() == like.keys():
        return type(given)({key: _in_order(given[key], like[key]) for key in like})
    if type(given) in (tuple, list) and type(like) is type(given) and len(given) == len(like):
        return type(given)(_in_order(one, other) for one, other in zip(given, like, strict=True))
    return given


def evaluating(module: torch.nn.Module) -> torch.nn.Module:
    """The module in eval mode. What `torch.export` gives has no modes, and raises when it is asked for one."""
    try:
        return module.eval()
    except NotImplementedError:
        for part in module.modules():
            part.training = False
        return module


def _methods(given: object) -> tuple[Method, ...]:
    if not isinstance(given, Mapping):
        raise CaseFault(f"options: methods are a dict of (module, example_inputs) by name, not {_described(given)}")
    found = []
    for name, value in given.items():
        if not (isinstance(name, str) and name.isidentifier()) or name == "forward":
            raise CaseFault(f"options: methods: {name!r} is no name for a method beside forward")
        if not (isinstance(value, tuple) and len(value) in (2, 3) and _is_module(value[0])):
            raise CaseFault(f"options: methods: {name} is {_described(value)}, {EXPECTED}")
        try:
            options = _options(value[2], METHOD_OPTIONS) if len(value) == 3 else {}
            found.append(_method(name, value[0], value[1], options))
        except CaseFault as error:
            raise CaseFault(f"method {name}: {error}") from None
    return tuple(found)


def _enumerated(given: object) -> tuple[tuple[str, tuple[tuple[int, ...], ...]], ...]:
    if not (
        isinstance(given, Mapping) and all(isinstance(key, str) and _are_shapes(value) for key, value in given.items())
    ):
        raise CaseFault("options: enumerated_shapes are a dict of lists of shapes by the name of the input")
    return tuple((name, tuple(tuple(shape) for shape in shapes)) for name, shapes in given.items())


def _are_shapes(given: object) -> bool:
    return isinstance(given, (list, tuple)) and all(
        isinstance(shape, (list, tuple)) and all(isinstance(size, int) for size in shape) for shape in given
    )


def _partitioner(given: object) -> tuple[tuple[str, object], ...]:
    if not (isinstance(given, Mapping) and all(isinstance(key, str) for key in given)):
        raise CaseFault(f"options: partitioner is a dict of keyword arguments, not {_described(given)}")
    if _OF_THE_RECIPE in given:
        raise CaseFault(f"options: partitioner: {_OF_THE_RECIPE} are made of --precision and --target")
    if not given:
        return ()
    with contextlib.suppress(ImportError):
        from executorch.backends.apple.coreml.partition import CoreMLPartitioner

        known = [name for name in inspect.signature(CoreMLPartitioner).parameters if name != _OF_THE_RECIPE]
        if unknown := [name for name in given if name not in known]:
            raise CaseFault(
                f"options: partitioner: CoreMLPartitioner has no argument {unknown[0]!r}: known are {', '.join(known)}"
            )
    return tuple(given.items())
