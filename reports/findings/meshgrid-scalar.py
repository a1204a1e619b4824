"""Meshgrid reads shape[0] of a scalar.

PyTorch takes a rank-0 tensor as a vector of one element. The converter checks that no rank is above 1 and then reads
shape[0] of every tensor.
"""

import coremltools as ct
import torch


class Module(torch.nn.Module):
    def forward(self, x, y):
        return torch.meshgrid(x, y, indexing="ij")


inputs = (torch.ones(3), torch.tensor(2.0))
print(f"coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    ct.convert(exported.run_decompositions({}), minimum_deployment_target=ct.target.iOS18)
    actual = "it converts"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it converts\nactual:   {actual.splitlines()[0]}")
raise SystemExit("IndexError: tuple index out of range" not in actual)
