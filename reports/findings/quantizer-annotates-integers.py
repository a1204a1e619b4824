"""CoreMLQuantizer annotates sums of integers, which cannot be quantized.

It goes by the operator alone: a sum with a number gets an observer of its input, and the model fails in calibration.
"""

import coremltools as ct
import torch
from executorch.backends.apple.coreml.recipes import CoreMLRecipeType
from executorch.export import ExportRecipe, export
from executorch.version import __version__ as executorch


class Lookup(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.table = torch.nn.Embedding(8, 4)

    def forward(self, ids):
        return self.table(ids + 1)


print(f"executorch {executorch}, coremltools {ct.__version__}, torch {torch.__version__}")
# The quantizer exports some 400 patterns strictly, which takes a minute; the graphs are the same otherwise.
strictly = torch.export.export
torch.export.export = lambda *args, **kwargs: strictly(*args, **{**kwargs, "strict": False})
try:
    export(Lookup().eval(), [(torch.tensor([1, 2]),)], ExportRecipe.get_recipe(CoreMLRecipeType.PT2E_INT8_STATIC))
    actual = "they are"
except NotImplementedError as error:
    actual = f"NotImplementedError: {error}"
finally:
    torch.export.export = strictly
print(f"expected: integers are left alone\nactual:   {actual}")
raise SystemExit("not implemented for" not in actual)
