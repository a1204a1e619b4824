"""Pooling with a padding list of one element does not convert.

PyTorch takes one number for all dimensions, in a list too. The converter doubles the list it is given instead of
making one pair for each dimension.
"""

import coremltools as ct
import torch
import torch.nn.functional as F


class Module(torch.nn.Module):
    def forward(self, x):
        return F.avg_pool2d(x, 3, 1, padding=[0])


inputs = (torch.randn(1, 3, 4, 4),)
print(f"coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    ct.convert(exported.run_decompositions({}), minimum_deployment_target=ct.target.iOS18)
    actual = "it converts"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it converts\nactual:   {actual.splitlines()[0]}")
raise SystemExit("must all be the same length" not in actual)
