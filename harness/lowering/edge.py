"""The edge stage: what the recipes of a case share, because precision, target and passes differ only in conversion,
and with them partitionings that differ in what is delegated, not in what is decomposed.

`to_edge_transform_and_lower` makes the edge program and delegates it in one call. The call stays what is made: its
first half is ExecuTorch's own function, which here is asked once a case, and answered with a copy after that.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harness.cases.case import Partitioning
from harness.evidence.remedy import SKIP

if TYPE_CHECKING:
    from harness.lowering.lower import Exported


#: What tells edge programs of one exported program apart.
EdgeKey = tuple[bool, str]


def edge_key(wanted: Partitioning, unchecked: bool) -> EdgeKey:
    """Equal for partitionings that have the same edge programs: all but those that leave other operators to ExecuTorch
    by their names in the edge program (`aten.gelu.default`). In the exported one, which decides what is decomposed,
    the partitioner knows them without a namespace (`gelu.default`).
    """
    options = dict(wanted.options)
    skipped = options.get(SKIP)
    if isinstance(skipped, list | tuple):
        options[SKIP] = sorted(name for name in skipped if str(name).count(".") < 2)
    if not options.get(SKIP):
        options.pop(SKIP, None)
    return unchecked, repr(replace(wanted, options=tuple(sorted(options.items()))))


class EdgeStage:
    """The edge programs of one case, or the error that making them raised. Not for several threads.

    Kept pristine: what follows tags nodes and takes constants out of the programs it is given.
    """

    def __init__(self) -> None:
        self._manager: Any = None
        self._preserved: list[Any] = []
        self._error: Exception | None = None

    @property
    def is_made(self) -> bool:
        return self._manager is not None or self._error is not None

    @contextlib.contextmanager
    def shared(self) -> Iterator[None]:
        """Within it, `to_edge_transform_and_lower` takes the edge programs from here.

        An ExecuTorch that makes them elsewhere makes them for each recipe.
        """
        from executorch.exir.program import _program

        original = getattr(_program, "_gen_edge_manager_for_partitioners", None)
        if original is None:
            yield
            return

        def generate(partitioner: Any, programs: Any, config: Any, *others: Any) -> Any:
            return self._answer(original, partitioner, programs, config, *others)

        _program._gen_edge_manager_for_partitioners = generate
        try:
            yield
        finally:
            _program._gen_edge_manager_for_partitioners = original

    def _answer(self, original: Any, partitioner: Any, programs: Any, config: Any, *others: Any) -> Any:
        if not self.is_made:
            try:
                manager = original(partitioner, programs, config, *others)
            except Exception as error:
                self._error = error
                raise
            self._manager, self._preserved = _copy(manager), list(config._core_aten_ops_exception_list)
            return manager
        if self._error is not None:
            raise self._error
        config._core_aten_ops_exception_list = list(self._preserved)
        manager = _copy(self._manager)
        manager.compile_config = config
        return manager


def operators_of(exported: Exported) -> list[str]:
    """The operators of an exported program and of what it is decomposed into, by the names under which the partitioner
    can be told to leave them to ExecuTorch; empty where it was not exported, or is no edge program."""
    from executorch.exir import EdgeCompileConfig, to_edge

    if exported.program is None:
        return []
    graphs = [exported.program.graph]
    with contextlib.suppress(Exception):
        manager = to_edge(copy.deepcopy(exported.program), compile_config=EdgeCompileConfig(_check_ir_validity=False))
        graphs.append(manager.exported_program().graph)
    names = [
        getattr(node.target, "__name__", "").lower()
        for graph in graphs
        for node in graph.nodes
        if node.op == "call_function"
    ]
    return [name for name in dict.fromkeys(names) if "." in name]


def is_taken_apart(operator: str) -> bool:
    """Whether the edge stage decomposes an operator, `aten.silu.default`, that no partitioner keeps whole; True where
    an ExecuTorch does not tell."""
    import torch

    try:
        from executorch.exir.tracer import _default_decomposition_table
    except ImportError:
        return True
    namespace, _, rest = operator.partition(".")
    packet, _, overload = rest.partition(".")
    found = getattr(getattr(getattr(torch.ops, namespace), packet, None), overload or "default", None)
    return found is not None and found in _default_decomposition_table()


def _copy(manager: Any) -> Any:
    """An `EdgeProgramManager` with programs of its own."""
    made = copy.copy(manager)
    made._edge_programs = {name: copy.deepcopy(program) for name, program in manager._edge_programs.items()}
    return made
