"""A codebook of 5 or 7 bits does not convert.

Core ML has tables of 2, 4, 8, 16, 64 and 256 values. The number of bits is made into the name of an integer type and
looked up among those, without a check; the recipe provider of the backend takes every number from 1 to 8.
"""

import coremltools as ct
import torch
from executorch.backends.apple.coreml.recipes import CoreMLRecipeType
from executorch.export import ExportRecipe, export
from executorch.version import __version__ as executorch


def lower(bits) -> str:
    recipe = ExportRecipe.get_recipe(CoreMLRecipeType.CODEBOOK_WEIGHT_ONLY, bits=bits, block_size=[-1, 16])
    try:
        export(model=torch.nn.Linear(64, 32).eval(), example_inputs=[(torch.randn(1, 64),)], export_recipe=recipe)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "it lowers"


print(f"executorch {executorch}, coremltools {ct.__version__}, torch {torch.__version__}")
found = {bits: lower(bits) for bits in (4, 5, 6, 7)}
for bits, actual in found.items():
    print(f"  {bits} bits: {actual}")
print("expected: each lowers, or the recipe refuses it")
raise SystemExit(not (found[5] == "KeyError: 'uint5'" and found[7] == "KeyError: 'uint7'" and found[4] == found[6]))
