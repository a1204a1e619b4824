"""What a recipe asks of ExecuTorch's Core ML backend."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from harness.evidence.recipe import Recipe
from harness.evidence.vocabulary import HarnessError


def compile_specs(recipe: Recipe, others: Mapping[str, str] = MappingProxyType({})) -> list[Any] | None:
    """The compile specs as a user of `CoreMLBackend` would write them; None where a recipe has none. `others` go beside
    the recipe's own, or in their place.

    Raises `HarnessError` when the installed coremltools does not have the target.
    """
    import coremltools as ct
    from executorch.backends.apple.coreml.compiler import CoreMLBackend

    if recipe.target and not hasattr(ct.target, recipe.target):
        version = ct.__version__
        raise HarnessError(f"recipe {recipe.name}: coremltools {version} has no deployment target {recipe.target}")
    expressions = {**recipe.compile_specs, **others}
    if not expressions:
        return None
    # The expressions that scripts show are what is done.
    known = {"ct": ct, "CoreMLBackend": CoreMLBackend}
    given = {name: eval(expression, known) for name, expression in expressions.items()}
    return CoreMLBackend.generate_compile_specs(**given)
