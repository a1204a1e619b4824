"""What a recipe asks of ExecuTorch's Core ML backend."""

from __future__ import annotations

from typing import Any

from harness.evidence.recipe import PRECISIONS, Recipe
from harness.evidence.vocabulary import HarnessError


def compile_specs(recipe: Recipe) -> list[Any]:
    """The compile specs as a user of `CoreMLBackend` would write them.

    Raises `HarnessError` when the installed coremltools does not have the target.
    """
    import coremltools as ct
    from executorch.backends.apple.coreml.compiler import CoreMLBackend

    if not hasattr(ct.target, recipe.target):
        version = ct.__version__
        raise HarnessError(f"recipe {recipe.name}: coremltools {version} has no deployment target {recipe.target}")
    return CoreMLBackend.generate_compile_specs(
        compute_precision=ct.precision[PRECISIONS[recipe.precision]],
        minimum_deployment_target=getattr(ct.target, recipe.target),
    )
