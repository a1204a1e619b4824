"""The lowered program as plain data: what to run, in which order, and what each delegate holds.

`to_edge_transform_and_lower` gives an fx graph with delegates inside. `plan_of` (in `graph.py`) turns it
into the dataclasses below, which can be cached and run without ExecuTorch's graph machinery.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch


@dataclass(frozen=True)
class TensorSpec:
    """What torch says a value is: dtype (`float32`, `int64`, ...) and shape; None for a dynamic dimension."""

    dtype: str
    shape: tuple[int | None, ...]

    @property
    def torch_dtype(self) -> torch.dtype:
        return getattr(torch, self.dtype)


@dataclass(frozen=True)
class Value:
    """A reference to the value with this number, as it appears among a step's arguments."""

    number: int


@dataclass(frozen=True)
class Input:
    """A placeholder. `tensor` is set for a parameter, buffer or constant that no delegate took over."""

    name: str
    value: Value
    spec: TensorSpec | None
    kind: str  # user, parameter, buffer, constant
    tensor: torch.Tensor | None = None


@dataclass(frozen=True)
class Call:
    """A fallback operator, run in eager: `target` is an overload (`aten.asinh.default`) or `operator.<name>`."""

    target: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    out: Value


@dataclass(frozen=True)
class DelegateCall:
    """Run delegate number `delegate`; `args` are in the delegate node's order. The result is a list."""

    delegate: int
    args: tuple[Any, ...]
    out: Value


@dataclass(frozen=True)
class GetItem:
    """One element of a step with several results."""

    source: Value
    index: int
    out: Value


Step = Call | DelegateCall | GetItem


@dataclass(frozen=True)
class Delegate:
    """One delegate: the flattened package, and what torch expects to go in and come out.

    `processed` unflattens into `lowered_module/{model.mlpackage, metadata.json, debug_info.json}`.
    `inputs` and `outputs` follow the delegate node; `ops` counts the ATen overloads inside.
    """

    processed: bytes
    inputs: tuple[TensorSpec | None, ...]
    outputs: tuple[TensorSpec | None, ...]
    ops: dict[str, int]

    def unpack(self, directory: Path) -> UnpackedDelegate:
        """Write the package under `directory`, which must exist, and read its metadata.

        Raises `ValueError` when the bytes do not hold a Core ML package.
        """
        from executorch.backends.apple.coreml import executorchcoreml

        executorchcoreml.unflatten_directory_contents(self.processed, str(directory))
        root = directory / "lowered_module"
        package = root / "model.mlpackage"
        if not package.is_dir():
            raise ValueError("the delegate holds no model.mlpackage")
        metadata = json.loads((root / "metadata.json").read_text())
        debug = root / "debug_info.json"
        return UnpackedDelegate(
            package=package,
            input_names=tuple(metadata["inputNames"]),
            output_names=tuple(metadata["outputNames"]),
            debug_info=json.loads(debug.read_text()) if debug.exists() else {},
        )


@dataclass(frozen=True)
class UnpackedDelegate:
    """A delegate on disk. Features are mapped by position of these names, never by argument name."""

    package: Path
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]
    debug_info: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class LoweredProgram:
    """The whole program: delegates plus fallback nodes.

    `outputs` are the user's outputs in flattened order: a `Value`, or a constant the graph returns as it is.
    `mutations` are buffers the program writes back: (placeholder's value, new value).
    """

    inputs: tuple[Input, ...]
    steps: tuple[Step, ...]
    outputs: tuple[Any, ...]
    delegates: tuple[Delegate, ...]
    mutations: tuple[tuple[Value, Value], ...] = ()

    @property
    def delegated_ops(self) -> dict[str, int]:
        """ATen overloads inside delegates, with their number of nodes."""
        counts: dict[str, int] = {}
        for step in self.steps:
            if isinstance(step, DelegateCall):
                for op, n in self.delegates[step.delegate].ops.items():
                    counts[op] = counts.get(op, 0) + n
        return counts

    @property
    def fallback_ops(self) -> dict[str, int]:
        """ATen overloads left outside, with their number of nodes."""
        counts: dict[str, int] = {}
        for step in self.steps:
            if isinstance(step, Call) and not step.target.startswith("operator."):
                counts[step.target] = counts.get(step.target, 0) + 1
        return counts


def values_in(argument: Any) -> Iterator[Value]:
    """The references inside an argument, however nested."""
    if isinstance(argument, Value):
        yield argument
    elif isinstance(argument, (list, tuple)):
        for item in argument:
            yield from values_in(item)
    elif isinstance(argument, dict):
        for item in argument.values():
            yield from values_in(item)


def replace_values(argument: Any, values: dict[int, Any]) -> Any:
    """The argument with every reference replaced by the value it names."""
    if isinstance(argument, Value):
        return values[argument.number]
    if isinstance(argument, (list, tuple)):
        return type(argument)(replace_values(item, values) for item in argument)
    if isinstance(argument, dict):
        return {key: replace_values(item, values) for key, item in argument.items()}
    return argument
