"""A conversion once more, step by step: the program as the frontend left it and after each pass that changed it.

Hooks in coremltools' pass manager see each state; it is serialised as it is, without the passes to come, and read back
with our own reader.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import inspect
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from harness import mil


@dataclass(frozen=True)
class State:
    """The program as it was after a pass (`name` is empty: as the frontend left it). `right` is None where it cannot be
    run, for the reason `why`."""

    pipeline: str
    name: str
    right: bool | None
    why: str = ""


@dataclass(frozen=True)
class Conversion:
    """What the backend was given for one delegate, and what it made of it."""

    program: torch.export.ExportedProgram
    compile_specs: Any
    processed: bytes


@contextlib.contextmanager
def conversions() -> Iterator[list[Conversion]]:
    """Collect what the backend converts meanwhile."""
    from executorch.backends.apple.coreml.compiler import CoreMLBackend

    found: list[Conversion] = []
    original = CoreMLBackend.__dict__["preprocess"]

    def preprocess(edge_program: Any, compile_specs: Any) -> Any:
        kept = copy.deepcopy(edge_program)
        result = original.__func__(edge_program, compile_specs)
        found.append(Conversion(kept, compile_specs, bytes(result.processed_bytes)))
        return result

    CoreMLBackend.preprocess = staticmethod(preprocess)  # type: ignore[method-assign]
    try:
        yield found
    finally:
        CoreMLBackend.preprocess = original  # type: ignore[method-assign]


class Replay:
    """Converts again, and has the program evaluated as the frontend left it and after each pass that changed it.

    `names` are the nodes by the name of the value that the converter gave them.
    """

    def __init__(self, conversion: Conversion, evaluate: Callable[[mil.Model], tuple[bool | None, str]]) -> None:
        self.states: list[State] = []
        self.passes = 0
        self.names: dict[str, list[int]] = {}
        self._evaluate = evaluate
        self._numbers = {node.name: number for number, node in enumerate(conversion.program.graph.nodes)}
        self._pipeline = ""
        self._inside = False
        self._digest = ""
        self._convert(conversion)

    def _convert(self, conversion: Conversion) -> None:
        from coremltools.converters.mil.frontend.torch.converter import TranscriptionContext
        from coremltools.converters.mil.mil.passes.pass_pipeline import PassPipelineManager
        from coremltools.converters.mil.mil.passes.pass_registry import PassRegistry
        from executorch.backends.apple.coreml.compiler import CoreMLBackend

        apply, lookup, add = PassPipelineManager.apply_pipeline, PassRegistry.__getitem__, TranscriptionContext.add

        def apply_pipeline(program: Any, pipeline: Any) -> None:
            self._pipeline = str(pipeline)
            if not self.states:
                self._look(program, "")
            apply(program, pipeline)

        def getitem(registry: Any, name: str) -> Any:
            return _Watched(lookup(registry, name), name, self)

        def added(context: Any, ssa_var: Any, torch_name: str | None = None, override: bool = False) -> None:
            add(context, ssa_var, torch_name, override)
            number = self._numbers.get(torch_name or getattr(ssa_var, "name", ""))
            if number is not None and hasattr(ssa_var, "name"):
                self.names.setdefault(ssa_var.name, []).append(number)

        with contextlib.ExitStack() as stack:
            for owner, name, function in (
                (PassPipelineManager, "apply_pipeline", staticmethod(apply_pipeline)),
                (PassRegistry, "__getitem__", getitem),
                (TranscriptionContext, "add", added),
            ):
                stack.callback(setattr, owner, name, owner.__dict__[name])
                setattr(owner, name, function)
            program = copy.deepcopy(conversion.program)
            CoreMLBackend._convert_to_mlmodel(program, conversion.compile_specs, skip_model_load=True)

    def after(self, graph_pass: Any, name: str, program: Any) -> None:
        """Run one pass and look at what it leaves. A pass may run others, which are part of it."""
        if self._inside:
            graph_pass(program)
            return
        self._inside = True
        try:
            graph_pass(program)
        finally:
            self._inside = False
        self.passes += 1
        self._look(program, name)

    def _look(self, program: Any, name: str) -> None:
        digest = _digest(program)
        if digest == self._digest:
            return
        self._digest = digest
        with tempfile.TemporaryDirectory(prefix="coreml-harness-") as directory:
            try:
                model = _written(program, Path(directory))
            except Exception as error:  # a state that only the passes to come make a program of
                right, why = None, f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            else:
                right, why = self._evaluate(model)
        self.states.append(State(self._pipeline, name, right, why))


class _Watched:
    """A graph pass that reports to the replay."""

    def __init__(self, graph_pass: Any, name: str, replay: Replay) -> None:
        self._pass, self._name, self._replay = graph_pass, name, replay

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pass, name)

    def __call__(self, program: Any) -> None:
        self._replay.after(self._pass, self._name, program)


def _digest(program: Any) -> str:
    """Of a program's text and of its constants, which the text abbreviates."""
    digest = hashlib.sha256(str(program).encode())

    def visit(block: Any) -> None:
        for operation in block.operations:
            for inner in operation.blocks:
                visit(inner)
            if operation.op_type == "const":
                value = operation.outputs[0].val
                digest.update(value.tobytes() if isinstance(value, np.ndarray) else repr(value).encode())

    for function in program.functions.values():
        visit(function)
    return digest.hexdigest()


def _written(program: Any, directory: Path) -> mil.Model:
    """Serialise a program of any state of its conversion and read it back with our own reader."""
    from coremltools.converters.mil.backend.mil.load import MILProtoExporter
    from coremltools.proto import Model_pb2

    weights = directory / "weights"
    weights.mkdir()
    version = int(program.functions[program.default_function_name].opset_version.value)
    model = Model_pb2.Model(specificationVersion=version)
    model.mlProgram.CopyFrom(MILProtoExporter(program, str(weights), version).export())
    path = directory / "model.mlmodel"
    path.write_bytes(model.SerializeToString())
    return mil.load(path)


def converter_source(kind: str) -> str:
    """Where the function is defined that the converter has for an operator: `<file>:<line> (<function>)`."""
    from coremltools.converters.mil.frontend.torch.torch_op_registry import _TORCH_OPS_REGISTRY

    function = _TORCH_OPS_REGISTRY.get_func(kind) if kind else None
    return _defined(function) if function is not None else ""


def pass_source(name: str) -> str:
    from coremltools.converters.mil.mil.passes.pass_registry import PASS_REGISTRY

    return _defined(PASS_REGISTRY.passes[name]) if name in PASS_REGISTRY.passes else ""


def _defined(thing: Any) -> str:
    """File from its package on, and line of the definition itself, below its decorators."""
    thing = inspect.unwrap(thing) if inspect.isclass(thing) or callable(thing) else type(thing)
    try:
        lines, first = inspect.getsourcelines(thing)
        path = Path(inspect.getsourcefile(thing) or "")
    except (OSError, TypeError):
        return ""
    offset = next((i for i, line in enumerate(lines) if line.lstrip().startswith(("def ", "class "))), 0)
    parts = path.parts
    start = parts.index("site-packages") + 1 if "site-packages" in parts else max(len(parts) - 1, 0)
    return f"{'/'.join(parts[start:])}:{first + offset} ({thing.__name__})"


def first_wrong(states: Sequence[State]) -> State | None:
    """The state from which on the program is wrong, to the end; None when it is right at the end.

    A program that was wrong before and is right again in between is not wrong from there on.
    """
    wrong = None
    for state in states:
        if state.right is False:
            wrong = wrong or state
        elif state.right:
            wrong = None
    return wrong
