"""Searchsorted converts for a sequence and values of equal rank only.

The converter says that different ranks are not implemented; with equal ranks it converts and is right.
"""

import coremltools as ct
import torch


class Module(torch.nn.Module):
    def forward(self, x):
        return torch.searchsorted(torch.tensor([0.0, 1.0, 2.0]), x)


inputs = (torch.rand(2, 3),)
print(f"coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    ct.convert(exported.run_decompositions({}), minimum_deployment_target=ct.target.iOS18)
    actual = "it converts"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it converts\nactual:   {actual.splitlines()[0]}")
raise SystemExit("Not support `searchsorted` op with different ranks" not in actual)
