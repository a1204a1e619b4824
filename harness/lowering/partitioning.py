"""The partitioner as a case wants it: with its defaults, or with one of its own rules switched off."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import torch

from harness.cases.case import Partitioning
from harness.evidence.recipe import Recipe
from harness.lowering.compile_specs import compile_specs
from harness.lowering.graph import overload_name


def make_partitioner(wanted: Partitioning, recipe: Recipe, program: torch.export.ExportedProgram | None = None) -> Any:
    """A `CoreMLPartitioner` with the recipe's compile specs and that of shapes enumerated for `program`; without any
    for a bare recipe.

    Raises what its constructor raises for options that contradict each other, and `AssertionError` or `ValueError` for
    shapes that are not the program's.
    """
    from executorch.backends.apple.coreml.partition import CoreMLPartitioner

    kind: Any = CoreMLPartitioner
    if wanted.claim or wanted.keep:
        kind = _without_rules(CoreMLPartitioner, frozenset(wanted.claim), frozenset(wanted.keep))
    specs = [*(compile_specs(recipe, dict(wanted.specs)) or ()), *_enumeration(wanted, program), *_apart(wanted)]
    return kind(**({"compile_specs": specs} if specs else {}), **dict(wanted.options))


def _enumeration(wanted: Partitioning, program: torch.export.ExportedProgram | None) -> list[Any]:
    """The compile spec of enumerated shapes, as a user of `CoreMLBackend` would write it, where any are wanted."""
    from executorch.backends.apple.coreml.compiler import CoreMLBackend

    if not wanted.enumerated:
        return []
    shapes = {name: [list(shape) for shape in shapes] for name, shapes in wanted.enumerated}
    return [CoreMLBackend.generate_enumerated_shapes_compile_spec(program, shapes)]


def _apart(wanted: Partitioning) -> list[Any]:
    """The compile spec of methods that share no weights, where they are not to."""
    from executorch.backends.apple.coreml.compiler import CoreMLBackend
    from executorch.backends.apple.coreml.compiler.coreml_preprocess import MULTIMETHOD_WEIGHT_SHARING_STRATEGY

    if wanted.sharing:
        return []
    strategy = MULTIMETHOD_WEIGHT_SHARING_STRATEGY.DISABLED
    return [CoreMLBackend.generate_multimethod_weight_sharing_strategy_compile_spec(strategy)]


def edge_config(wanted: Partitioning, unchecked: bool = False) -> Any:
    """An `EdgeCompileConfig`; None, which is ExecuTorch's default, when nothing is asked of it."""
    from executorch.exir import EdgeCompileConfig

    if not (wanted.admit or unchecked):
        return None
    preserved = [_overload(name) for name in wanted.admit]
    return EdgeCompileConfig(preserve_ops=preserved, _check_ir_validity=not unchecked)


def _overload(name: str) -> Any:
    """The overload `torch.ops.aten.exp2.default` by its name `aten.exp2.default`."""
    return functools.reduce(getattr, name.split("."), torch.ops)


def _without_rules(base: Any, claim: frozenset[str], keep: frozenset[str]) -> Any:
    class WithoutRules(base):  # type: ignore[misc]
        """What coremltools says decides over `claim`; operators in `keep` are not decomposed."""

        def partition(self, exported_program: torch.export.ExportedProgram) -> Any:
            with _override_off(claim):
                return super().partition(exported_program)

        def ops_to_not_decompose(self, ep: torch.export.ExportedProgram) -> tuple[list[Any], Any]:
            with _override_off(claim):
                kept, condition = super().ops_to_not_decompose(ep)
            targets = (node.target for node in ep.graph.nodes if node.op == "call_function")
            return [*kept, *(target for target in targets if overload_name(target) in keep)], condition

    return WithoutRules


@contextlib.contextmanager
def _override_off(claim: frozenset[str]) -> Iterator[None]:
    """Take the partitioner's own verdict away for some operators. It asks a class that it names by its module."""
    from executorch.backends.apple.coreml.partition import coreml_partitioner

    support = coreml_partitioner._OperatorsSupportedForCoreMLBackend
    original: Callable[[Any, Any], bool] = support.should_override_support

    def overridden(self: Any, node: torch.fx.Node) -> bool:
        return overload_name(node.target) not in claim and original(self, node)

    support.should_override_support = overridden
    try:
        yield
    finally:
        support.should_override_support = original
