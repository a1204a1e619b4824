"""`lower`: one case by one recipe through ExecuTorch's public path, each failure at its phase.

In stages, each a value made from the one before by its own part of the recipe, so that recipes which agree up to a
stage share it: `Exported` (no part of a recipe yet), its `edge`, `Converted` (precision and target), `Lowered`.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import torch
from torch._guards import detect_fake_mode
from torch.export.graph_signature import InputKind

from harness.cases.case import AS_IT_IS, Arguments, Built, Partitioning, argument_name
from harness.cases.exporting import program_of
from harness.evidence.recipe import Recipe
from harness.evidence.record import ErrorInfo
from harness.evidence.vocabulary import HarnessError, Outcome, Phase
from harness.lowering import speedups
from harness.lowering.backend import import_failure
from harness.lowering.edge import EdgeKey, EdgeStage, edge_key
from harness.lowering.graph import UnplannableGraph, count_ops, plan_of
from harness.lowering.partitioning import edge_config, make_partitioner
from harness.lowering.place import Place, place_of, place_of_export
from harness.lowering.program import METHOD, LoweredProgram
from harness.lowering.signatures import error_info

PhaseListener = Callable[[Phase], None]

#: What a failure in each phase of lowering means for the user.
FAILURES: dict[Phase, Outcome] = {
    Phase.EXPORT: Outcome.UNSUPPORTED,
    Phase.EDGE: Outcome.UNSUPPORTED,
    Phase.PARTITION: Outcome.CONVERT_ERROR,
    Phase.CONVERT: Outcome.CONVERT_ERROR,
    Phase.PACKAGE: Outcome.CONVERT_ERROR,
    Phase.EMIT: Outcome.EMIT_ERROR,
}


@dataclass(frozen=True)
class Failure:
    """Where lowering stopped, what that is called, and the operator it is put down to."""

    phase: Phase
    outcome: Outcome
    error: ErrorInfo
    place: Place = field(default_factory=Place)


@dataclass(frozen=True)
class Exported:
    """`torch.export`'s answer, shared by the recipes of a case: a program, or the failure.

    `beside` holds the other methods of the program by name, `ops` counts those of the case's own `method` only.
    `edges` are the stages after it by `edge_key`, each made by the first recipe and partitioning lowered so.
    """

    program: torch.export.ExportedProgram | None
    failure: Failure | None
    ops: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    partitioning: Partitioning = AS_IT_IS
    method: str = METHOD
    beside: dict[str, torch.export.ExportedProgram] = field(default_factory=dict)
    edges: dict[EdgeKey, EdgeStage] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True)
class Converted:
    """What `to_edge_transform_and_lower` gave by one recipe: its manager of programs, or the failure.

    `plan` is what there is to run, None with the reason in `unplannable`, `beside` the same of the other methods. To be
    emitted once, which rewrites the programs in place. Seconds in `timing`.
    """

    exported: Exported
    manager: Any = field(default=None, repr=False)
    failure: Failure | None = None
    plan: LoweredProgram | None = None
    beside: dict[str, LoweredProgram] = field(default_factory=dict)
    unplannable: str = ""
    timing: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Emitted:
    """What a unit runs: the program as data, and the `.pte` that holds it."""

    program: LoweredProgram
    pte: bytes


@dataclass(frozen=True)
class Lowered:
    """What lowering gave: a program or a failure, never both.

    `exported_ops` counts the ATen overloads of the exported graph. `missing_kernels` are operators left to
    ExecuTorch for which its own registry has no kernel: the program would not load. `pte` is the emitted program.
    `unplannable` says why the program, though lowered, cannot be run here. Seconds in `timing`.
    Of a program of several methods `pte` holds all of them; `beside` has the others' programs and counts of ATen
    overloads by name, the rest is about the case's own.
    """

    program: LoweredProgram | None = None
    failure: Failure | None = None
    exported_ops: dict[str, int] = field(default_factory=dict)
    missing_kernels: tuple[str, ...] = ()
    pte: bytes = b""
    unplannable: str = ""
    timing: dict[str, float] = field(default_factory=dict)
    beside: dict[str, tuple[LoweredProgram, dict[str, int]]] = field(default_factory=dict)

    def method(self, name: str) -> Lowered:
        """The same about another method of the program; itself for its own."""
        if name not in self.beside:
            return self
        program, ops = self.beside[name]
        return replace(self, program=program, exported_ops=ops)

    @property
    def emitted(self) -> Emitted | None:
        """None where lowering failed, and where what it gave cannot be run here."""
        return Emitted(self.program, self.pte) if self.program is not None else None


def silence(_phase: Phase) -> None:
    """A listener that does not listen."""


def export(built: Built, on_phase: PhaseListener = silence) -> Exported:
    """`torch.export.export` of a case. The program may be lowered by several recipes: lowering works on copies."""
    on_phase(Phase.EXPORT)
    started = time.perf_counter()
    try:
        with _quiet():
            program = program_of(built.own)
            beside = {method.name: program_of(method) for method in built.beside}
    except Exception as error:
        return Exported(None, _failure(Phase.EXPORT, error))
    seconds = time.perf_counter() - started
    ops = count_ops(program.graph)
    return Exported(program, None, ops, seconds, built.partitioning, built.method, beside)


def refused_call(exported: Exported, built: Built) -> str:
    """Which of the further calls an exported program does not take, and why; empty where it takes all."""
    if exported.program is None:
        return ""
    programs = methods(exported)
    for method in built.methods:
        for number, arguments in enumerate(method.calls):
            if problem := _refusal(programs[method.name], arguments):
                where = "" if method.name == built.method else f"method {method.name}: "
                return f"{where}calls[{number}]: {problem}"
    return ""


def _refusal(program: torch.export.ExportedProgram, arguments: Arguments) -> str:
    """What torch.export's own check of its inputs says; empty where they fit."""
    from torch._export.utils import _check_input_constraints_for_graph
    from torch.utils._pytree import tree_flatten_with_path

    users = {s.arg.name for s in program.graph_signature.input_specs if s.kind is InputKind.USER_INPUT}
    placeholders = [n for n in program.graph.nodes if n.op == "placeholder" and n.name in users]
    flat, _ = tree_flatten_with_path((arguments.inputs, dict(arguments.kwargs)))
    for (path, value), node in zip(flat, placeholders, strict=False):
        traced = node.meta.get("val")
        if isinstance(traced, torch.Tensor) and isinstance(value, torch.Tensor) and traced.dtype != value.dtype:
            return f"the input at {argument_name(path)} is of {value.dtype}, the program takes {traced.dtype}"
    try:
        _check_input_constraints_for_graph(placeholders, flat, program.range_constraints)
    except Exception as error:  # of several types, all of which say the same
        return " ".join(str(error).split())[:300]
    return ""


def forget_unbound_symbols(program: torch.export.ExportedProgram) -> None:
    """Clear what a lowering that failed half-way left with the symbolic sizes, which copies of a program share: the
    next one would fail by it (`PendingUnbackedSymbolNotFound`), and outcomes would depend on the recipes before.
    """
    values = (node.meta.get("val") for node in program.graph.nodes)
    mode = detect_fake_mode([value for value in values if isinstance(value, torch.Tensor)])
    if mode is not None and mode.shape_env is not None:
        mode.shape_env.pending_fresh_unbacked_symbols.clear()


def forget_conversion() -> None:
    """Forget what lowerings before this one have left.

    coremltools clears its counters of names and symbols at the end of a conversion; one that raised has left them, and
    the next program's values would be called `const_6` for `const_0`. ExecuTorch remembers which nodes of its graphs
    were equal, and with a node its graph and module: after thousands of lowerings each takes half as long again,
    because torch changes a class whose subclasses those modules' classes are.
    """
    from coremltools.converters.mil import converter
    from executorch.exir.backend import utils

    converter._reset_conversion_state()
    if hasattr(utils.is_same_node, "cache_clear"):
        utils.is_same_node.cache_clear()


def lower(exported: Exported, recipe: Recipe, on_phase: PhaseListener = silence) -> Lowered:
    """Lower to the edge dialect, partition, convert, package and emit. Never raises for what the backend does.

    Raises `HarnessError` for a recipe that the installed packages cannot carry out.
    """
    return emit(convert(exported, recipe, on_phase), on_phase)


def convert(exported: Exported, recipe: Recipe, on_phase: PhaseListener = silence) -> Converted:
    """Lower to the edge dialect, partition, convert and package. Raises as `lower`."""
    timing = {"export": exported.seconds}
    if exported.program is None:
        return Converted(exported, failure=exported.failure, timing=timing)
    if (missing := import_failure()) is not None:
        return Converted(exported, failure=_failure(Phase.PARTITION, missing), timing=timing)
    from executorch.exir import to_edge_transform_and_lower

    speedups.before_lowering()
    phases = _PhaseLadder(on_phase)
    started = time.perf_counter()
    forget_conversion()
    unchecked = recipe.unchecked or exported.partitioning.unchecked
    edge = exported.edges.setdefault(edge_key(exported.partitioning, unchecked), EdgeStage())
    programs = methods(exported)
    for program in programs.values():
        forget_unbound_symbols(program)
    if not edge.is_made:
        # Copies: lowering takes constants out of the programs it is given.
        programs = {name: copy.deepcopy(program) for name, program in programs.items()}
    try:
        with _quiet(), edge.shared(), _observed(phases, several=len(programs) > 1):
            phases.enter(Phase.EDGE)
            partitioner = make_partitioner(exported.partitioning, recipe, exported.program)
            config = edge_config(exported.partitioning, unchecked)
            manager = to_edge_transform_and_lower(programs, partitioner=[partitioner], compile_config=config)
    except HarnessError:
        raise
    except Exception as error:
        return Converted(exported, failure=_failure(phases.current, error, exported.ops), timing=timing)
    timing["lower"] = time.perf_counter() - started
    try:
        # Before emitting, which rewrites the graph in place. What else it raises is a fault of ours, no finding.
        plan = plan_of(manager.exported_program(exported.method), exported.method)
        beside = {name: plan_of(manager.exported_program(name), name) for name in exported.beside}
    except UnplannableGraph as error:
        reason = f"the lowered graph cannot be run outside ExecuTorch: {error}"
        return Converted(exported, manager, unplannable=reason, timing=timing)
    return Converted(exported, manager, plan=plan, beside=beside, timing=timing)


def emit(converted: Converted, on_phase: PhaseListener = silence) -> Lowered:
    """The emitted program. Never raises for what the backend does."""
    exported, timing = converted.exported, dict(converted.timing)
    if converted.failure is not None:
        return Lowered(failure=converted.failure, exported_ops=exported.ops, timing=timing)
    on_phase(Phase.EMIT)
    started = time.perf_counter()
    try:
        with _quiet():
            emitted = converted.manager.to_executorch()
            pte = bytes(emitted.buffer)
    except Exception as error:
        return Lowered(failure=_failure(Phase.EMIT, error, exported.ops), exported_ops=exported.ops, timing=timing)
    timing["emit"] = time.perf_counter() - started
    return Lowered(
        program=converted.plan,
        exported_ops=exported.ops,
        missing_kernels=missing_kernels(emitted.executorch_program),
        pte=pte,
        unplannable=converted.unplannable,
        timing=timing,
        beside={name: (plan, count_ops(exported.beside[name].graph)) for name, plan in converted.beside.items()},
    )


def methods(exported: Exported) -> dict[str, torch.export.ExportedProgram]:
    """The programs lowered together, by name and in its order: each case of a program lowers the same one.

    The first is the default function of a package they share.
    """
    assert exported.program is not None
    return dict(sorted({exported.method: exported.program, **exported.beside}.items()))


def _failure(phase: Phase, error: Exception, ops: Mapping[str, int] = MappingProxyType({})) -> Failure:
    """`ops` are those of the exported graph: where it has one alone, no other can be to blame."""
    if phase is Phase.EXPORT:
        return Failure(phase, FAILURES[phase], error_info(error), place_of_export(error))
    place = place_of(error)
    if not place and len(ops) == 1:
        place = replace(place, operator=next(iter(ops)))
    return Failure(phase, FAILURES[phase], error_info(error), place)


def missing_kernels(executorch_program: Any) -> tuple[str, ...]:
    """Operators the emitted program calls outside its delegates and ExecuTorch's registry has no kernel for."""
    called = {
        f"{operator.name}.{operator.overload}" if operator.overload else operator.name
        for plan in executorch_program.execution_plan
        for operator in plan.operators
    }
    return tuple(sorted(called - _registered_kernels()))


@functools.cache
def _registered_kernels() -> frozenset[str]:
    """Kernels of the runtime in the installed wheel, quantized and custom ones included."""
    with contextlib.suppress(ImportError, OSError):
        from executorch.kernels import quantized  # noqa: F401  (registers its kernels when loaded)
    from executorch.extension.pybindings import portable_lib

    return frozenset(portable_lib._get_operator_names())


class _PhaseLadder:
    """The phase lowering is in; a phase entered inside another ends with it, unless it raised."""

    def __init__(self, on_phase: PhaseListener) -> None:
        self.current = Phase.EDGE
        self._on_phase = on_phase

    def enter(self, phase: Phase) -> None:
        self.current = phase
        self._on_phase(phase)

    def wrap(self, phase: Phase, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def inner(*args: Any, **kwargs: Any) -> Any:
            outer = self.current
            self.enter(phase)
            result = function(*args, **kwargs)
            self.enter(outer)
            return result

        return inner


@contextlib.contextmanager
def _observed(phases: _PhaseLadder, several: bool = False) -> Iterator[None]:
    """Tell the phases apart by wrapping the functions where they begin; what these do is not changed.

    The packages of several methods are made into one, which belongs to packaging.
    """
    from executorch.backends.apple.coreml.compiler import CoreMLBackend
    from executorch.backends.apple.coreml.partition import CoreMLPartitioner

    begin = [
        (CoreMLPartitioner, "partition", Phase.PARTITION),
        (CoreMLBackend, "_convert_to_mlmodel", Phase.CONVERT),
        (CoreMLBackend, "preprocess_model", Phase.PACKAGE),
    ]
    if several:
        begin.append((CoreMLBackend, "preprocess_multimethod", Phase.PACKAGE))
    wrapped: list[tuple[type, str, Any]] = []
    try:
        for owner, name, phase in begin:
            original = owner.__dict__[name]
            kind = type(original) if isinstance(original, (staticmethod, classmethod)) else lambda function: function
            wrapped.append((owner, name, original))
            setattr(owner, name, kind(phases.wrap(phase, getattr(original, "__func__", original))))
        yield
    finally:
        for owner, name, original in wrapped:
            setattr(owner, name, original)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the warnings of the measured packages out of the report: they are not findings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
