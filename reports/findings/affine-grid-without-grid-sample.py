"""Affine_grid is not converted.

The function notes its arguments under names of its own and binds no result, in the hope that grid_sampler comes next
and makes one operator of both. An output or another operator that takes the grid does not find it. grid_sampler in
turn looks its arguments up by name, and in a program of torch.export the modes are numbers without a name.
"""

import coremltools as ct
import torch
import torch.nn.functional as F


class Module(torch.nn.Module):
    def forward(self, theta):
        return F.affine_grid(theta, [1, 1, 4, 4], align_corners=False)


inputs = (torch.randn(1, 2, 3),)
print(f"coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    ct.convert(exported.run_decompositions({}), minimum_deployment_target=ct.target.iOS18)
    actual = "it converts"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it converts\nactual:   {actual.splitlines()[0]}")
raise SystemExit("not found in context" not in actual)
