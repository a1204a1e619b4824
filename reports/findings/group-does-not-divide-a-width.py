"""torchao quantizes a weight by groups only where the group divides its width.

`_get_reduction_params` (torchao/quantization/quant_primitives.py) asserts it for groups of int4 and int8,
`choose_qparams_and_quantize_codebook_coreml` (torchao/prototype/quantization/codebook_coreml/codebook_ops.py) for
blocks of codebooks. ExecuTorch's recipes quantize every linear layer unless `filter_fn` leaves one out, so that one
layer of an odd width ends the quantization of the whole model.
"""

import coremltools as ct
import torch
from executorch.backends.apple.coreml.recipes import CoreMLRecipeType
from executorch.export import ExportRecipe, StageType, export
from executorch.version import __version__ as executorch

print(f"executorch {executorch}, coremltools {ct.__version__}, torch {torch.__version__}")


def quantized(width):
    """What becomes of a layer of this width by the recipe of int4 in groups of 32."""
    recipe = ExportRecipe.get_recipe(CoreMLRecipeType.TORCHAO_INT4_WEIGHT_ONLY_PER_GROUP)
    model = torch.nn.Sequential(torch.nn.Linear(width, 8)).eval()
    try:
        session = export(model, [(torch.ones(1, width),)], recipe)
    except AssertionError as error:
        return f"AssertionError: {error}"
    (layer,) = session.get_stage_artifacts()[StageType.SOURCE_TRANSFORM].data["forward"]
    return "quantized" if torch.nn.utils.parametrize.is_parametrized(layer) else "left out"


actual = quantized(48)
print(f"width 64: {quantized(64)}\nwidth 48: expected it quantized, or left out; got {actual}")
raise SystemExit("divisible" not in actual)
