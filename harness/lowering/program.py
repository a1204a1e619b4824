"""The lowered program as plain data: what to run, in which order, and what each delegate holds.

`to_edge_transform_and_lower` gives an fx graph with delegates inside. `plan_of` (in `graph.py`) turns it
into the dataclasses below, which can be cached and run without ExecuTorch's graph machinery.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from harness.lowering.debug_info import EdgeNode

#: The method of a program that names none.
METHOD = "forward"


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
    """A placeholder. `tensor` is set for a parameter, buffer or constant that no delegate took over, whose name in the
    module (`cache.keys`) is `target`."""

    name: str
    value: Value
    spec: TensorSpec | None
    kind: str  # user, parameter, buffer, constant
    tensor: torch.Tensor | None = None
    target: str = ""


@dataclass(frozen=True)
class EagerCall:
    """A fallback operator, run in eager: `target` is an overload (`aten.asinh.default`) or `operator.<name>`; `flops`
    are its floating-point operations, None where they are not known."""

    target: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    out: Value
    flops: int | None = None


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


Step = EagerCall | DelegateCall | GetItem


#: What `processed` begins with when it only refers to a package that several methods share.
REFERENCE_MAGIC = b"CMJR"
_REFERENCE_VERSION = 1


@dataclass(frozen=True)
class Reference:
    """What a delegate of a program of several methods holds: the key of the package among the program's named data, and
    the function of it to run."""

    key: str
    function: str

    @classmethod
    def parse(cls, processed: bytes) -> Reference | None:
        """None when these bytes are a package themselves. Raises `ValueError` for a reference that cannot be read."""
        if not processed.startswith(REFERENCE_MAGIC):
            return None
        try:
            content = json.loads(processed[len(REFERENCE_MAGIC) :])
            version, key, function = content["version"], content["key"], content["functionName"]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"the delegate's reference cannot be read: {type(error).__name__}: {error}") from error
        if version != _REFERENCE_VERSION:
            raise ValueError(f"the delegate's reference is of version {version!r}, known is {_REFERENCE_VERSION}")
        if not (isinstance(key, str) and key and isinstance(function, str) and function):
            raise ValueError(f"the delegate's reference names no data or no function: {content}")
        return cls(key, function)


@dataclass(frozen=True)
class Delegate:
    """One delegate: the flattened package, and what torch expects to go in and come out.

    `processed` is what the runtime hands the backend: a package, or the `Reference` to one, whose bytes are `shared`
    then. `inputs` and `outputs` follow the delegate node; `ops` counts the ATen overloads inside, `nodes` are theirs.
    `compile_specs` go into the `.pte` beside `processed`. `buffers` are those of the module that it took over and
    writes to: its state. `flops` are the floating-point operations of its nodes, None where they are not known.
    """

    processed: bytes
    inputs: tuple[TensorSpec | None, ...]
    outputs: tuple[TensorSpec | None, ...]
    ops: dict[str, int]
    compile_specs: tuple[tuple[str, bytes], ...] = ()
    buffers: tuple[str, ...] = ()
    shared: bytes = b""
    nodes: tuple[EdgeNode, ...] = ()
    flops: int | None = None

    @property
    def stateful(self) -> bool:
        return bool(self.buffers)

    @property
    def function(self) -> str:
        """The function of a package shared by several methods; empty for a package of its own."""
        reference = Reference.parse(self.processed)
        return reference.function if reference else ""

    def unpack(self, directory: Path) -> UnpackedDelegate:
        """Write the package under `directory`, which must exist and be empty, and read its metadata.

        The bytes unflatten into one folder, `{model.mlpackage, metadata.json, debug_info.json}`, the last only for a
        package of its own. Raises `ValueError` when they do not hold a Core ML package with the function asked for.
        """
        from executorch.backends.apple.coreml import executorchcoreml

        reference = Reference.parse(self.processed)
        if reference is not None and not self.shared:
            raise ValueError(f"the delegate refers to data named {reference.key}, which the program does not hold")
        executorchcoreml.unflatten_directory_contents(self.shared if reference else self.processed, str(directory))
        package = next(iter(directory.glob("*/model.mlpackage")), None)
        if package is None or not package.is_dir():
            raise ValueError("the delegate holds no model.mlpackage")
        root = package.parent
        metadata = json.loads((root / "metadata.json").read_text())
        if reference is not None:
            methods = metadata.get("methods", {})
            if reference.function not in methods:
                known = ", ".join(sorted(methods)) or "none"
                raise ValueError(f"the metadata has no function {reference.function} (it has {known})")
            metadata = methods[reference.function]
        debug = root / "debug_info.json"
        return UnpackedDelegate(
            package=package,
            input_names=tuple(metadata["inputNames"]),
            output_names=tuple(metadata["outputNames"]),
            debug_info=json.loads(debug.read_text()) if debug.exists() else {},
            function=reference.function if reference else "",
            nodes=self.nodes,
        )


@dataclass(frozen=True)
class UnpackedDelegate:
    """A delegate on disk. Features are mapped by position of these names, never by argument name.

    `function` is the one of a multifunction package to run; empty for the only function of another.
    """

    package: Path
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]
    debug_info: dict[str, Any] = field(default_factory=dict)
    function: str = ""
    nodes: tuple[EdgeNode, ...] = ()


@dataclass(frozen=True)
class LoweredProgram:
    """One method of a lowered program, nearly always its only one: delegates plus fallback nodes.

    `outputs` are the user's outputs in flattened order: a `Value`, or a constant the graph returns as it is.
    `mutations` are buffers the program writes back: (placeholder's value, new value).
    """

    inputs: tuple[Input, ...]
    steps: tuple[Step, ...]
    outputs: tuple[Any, ...]
    delegates: tuple[Delegate, ...]
    mutations: tuple[tuple[Value, Value], ...] = ()
    method: str = METHOD

    @property
    def written(self) -> tuple[str, ...]:
        """Buffers of the module that a call writes to, in a delegate's state or outside of delegates."""
        mutated = {placeholder for placeholder, _ in self.mutations}
        outside = [i.target for i in self.inputs if i.kind == "buffer" and i.value in mutated]
        return (*(name for delegate in self.delegates for name in delegate.buffers), *outside)

    @property
    def stateful(self) -> bool:
        """Whether a second call finds what the first one wrote."""
        return bool(self.mutations) or any(delegate.stateful for delegate in self.delegates)

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
            if isinstance(step, EagerCall) and not step.target.startswith("operator."):
                counts[step.target] = counts.get(step.target, 0) + 1
        return counts


def packages_size(programs: Iterable[LoweredProgram]) -> int:
    """Bytes of the packages of a program's methods; one that several share counts once."""
    return sum(map(len, {delegate.shared or delegate.processed for one in programs for delegate in one.delegates}))


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
