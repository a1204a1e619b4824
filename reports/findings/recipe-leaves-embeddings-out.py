"""The torchao recipes quantize linear layers alone, though they say embeddings as well.

`CoreMLRecipeType` documents `filter_fn (default: Embedding and linear layers)`; the provider hands None on, for which
torchao takes linear layers. The codebook recipe next to them has the filter.
"""

import coremltools as ct
import torch
from executorch.backends.apple.coreml.recipes import CoreMLRecipeType
from executorch.export import ExportRecipe, StageType, export
from executorch.version import __version__ as executorch

print(f"executorch {executorch}, coremltools {ct.__version__}, torch {torch.__version__}")
left = []
for kind in CoreMLRecipeType:
    if "torchao" not in kind.value:
        continue
    model = torch.nn.Sequential(torch.nn.Embedding(8, 32), torch.nn.Linear(32, 32)).eval()
    session = export(model, [(torch.tensor([1, 2]),)], ExportRecipe.get_recipe(kind))
    found = session.get_stage_artifacts()[StageType.SOURCE_TRANSFORM].data["forward"]
    quantized = [type(layer).__name__ for layer in found if torch.nn.utils.parametrize.is_parametrized(layer)]
    print(f"  {kind.value}: {', '.join(quantized)}")
    left += [kind] if quantized == ["ParametrizedLinear"] else []
print(f"expected: every recipe quantizes both layers\nactual:   {len(left)} leave the embedding as it is")
raise SystemExit(not left)
