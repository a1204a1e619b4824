"""What a recipe asks of ExecuTorch's Core ML backend."""

from __future__ import annotations

from typing import Any

from harness.evidence.recipe import Recipe
from harness.evidence.vocabulary import HarnessError


def compile_specs(recipe: Recipe) -> list[Any] | None:
    """The compile specs as a user of `CoreMLBackend` would write them; None where a recipe has none.

    Raises `HarnessError` when the installed coremltools does not have the target.
    """
    import coremltools as ct
    from executorch.backends.apple.coreml.compiler import CoreMLBackend

    if recipe.target and not hasattr(ct.target, recipe.target):
        version = ct.__version__
        raise HarnessError(f"recipe {recipe.name}: coremltools {version} has no deployment target {recipe.target}")
    if not recipe.compile_specs:
        return None
    # The expressions that scripts show are what is done.
    given = {name: eval(expression, {"ct": ct}) for name, expression in recipe.compile_specs.items()}
    return CoreMLBackend.generate_compile_specs(**given)
