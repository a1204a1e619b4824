"""Tile with more counts than the tensor has dimensions does not convert.

torch.tile prepends dimensions in this case. The converter prepends ones to counts that are too few and does nothing
for too many; its function of repeat expands the input.
"""

import coremltools as ct
import torch


class Module(torch.nn.Module):
    def forward(self, x):
        return torch.tile(x, (2, 2))


inputs = (torch.randn(3),)
print(f"coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    ct.convert(exported.run_decompositions({}), minimum_deployment_target=ct.target.iOS18)
    actual = "it converts"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it converts\nactual:   {actual.splitlines()[0]}")
raise SystemExit("Length of the reps (2) must be at least 1, and equal to the rank of the input x (1)" not in actual)
