"""Calls with default arguments are refused for their number of inputs.

torch.export leaves trailing arguments out where they have their default value and passes keyword-only ones by name.
These functions of the converter ask `_get_inputs` for exactly the positional list TorchScript used to give. Others,
layer_norm for instance, ask for a minimum under torch.export and fill in the rest; the minimum of max pooling still
counts the stride, though the lines after it know what a missing one means. linalg_matrix_norm counts its keyword-only
dtype, so it never converts from torch.export.
"""

import coremltools as ct
import torch
import torch.nn.functional as F


class Module(torch.nn.Module):
    def forward(self, x, y):
        return F.mse_loss(x, y)


inputs = (torch.randn(3, 3), torch.randn(3, 3))
print(f"coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    ct.convert(exported.run_decompositions({}), minimum_deployment_target=ct.target.iOS18)
    actual = "it converts"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it converts\nactual:   {actual.splitlines()[0]}")
raise SystemExit("input(s), expected [" not in actual)
