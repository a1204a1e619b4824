"""Recipes for quantized models replace a higher deployment target by the lowest they need.

`_validate_and_set_deployment_target` raises for a target below the minimum of a quantization, and sets that minimum in
every other case, where it should do so without a target only.
"""

import coremltools as ct
import torch
from executorch.backends.apple.coreml.recipes import CoreMLRecipeType
from executorch.export import ExportRecipe
from executorch.version import __version__ as executorch

ASKED_FOR = ct.target.iOS26
ARGUMENTS = {CoreMLRecipeType.CODEBOOK_WEIGHT_ONLY: {"bits": 4, "block_size": [-1, 16]}}

print(f"executorch {executorch}, coremltools {ct.__version__}, torch {torch.__version__}")
replaced = []
for kind in CoreMLRecipeType:
    recipe = ExportRecipe.get_recipe(kind, minimum_deployment_target=ASKED_FOR, **ARGUMENTS.get(kind, {}))
    specs = recipe.lowering_recipe.partitioners[0].delegation_spec.compile_specs
    (given,) = (int(spec.value) for spec in specs if spec.key == "min_deployment_target")
    print(f"  {kind.value}: asked for {ASKED_FOR.name}, given {ct.target(given).name}")
    replaced += [kind] if given != ASKED_FOR.value else []
print(f"expected: every recipe keeps {ASKED_FOR.name}\nactual:   {len(replaced)} of {len(CoreMLRecipeType)} replace it")
raise SystemExit(not replaced)
