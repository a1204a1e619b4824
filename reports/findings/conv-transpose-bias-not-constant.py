"""Conv_transpose reads the value of a bias that has none.

Type inference compares self.bias.val.shape with the number of output channels; val is None for a bias that is no
constant, though its shape is known. MIL wants a constant there: such a bias would have to become an addition.
"""

import coremltools as ct
import torch
import torch.nn.functional as F


class Module(torch.nn.Module):
    def forward(self, x, weight, bias):
        return F.conv_transpose1d(x, weight, bias)


inputs = (torch.ones(1, 2, 5), torch.ones(2, 3, 3), torch.ones(3))
print(f"coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    ct.convert(exported.run_decompositions({}), minimum_deployment_target=ct.target.iOS18)
    actual = "it converts"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it converts\nactual:   {actual.splitlines()[0]}")
raise SystemExit("'NoneType' object has no attribute 'shape'" not in actual)
