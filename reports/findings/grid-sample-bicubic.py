"""Grid_sampler has no entry for bicubic.

The table of modes has bilinear and nearest, as MIL resample does; bicubic (2) is looked up without a check, and the
partitioner claims the node.
"""

import coremltools as ct
import torch
import torch.nn.functional as F


class Module(torch.nn.Module):
    def forward(self, x, grid):
        return F.grid_sample(x, grid, "bicubic", align_corners=False)


inputs = (torch.ones(1, 1, 4, 4), torch.zeros(1, 2, 2, 2))
print(f"coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    ct.convert(exported.run_decompositions({}), minimum_deployment_target=ct.target.iOS18)
    actual = "it converts"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it converts\nactual:   {actual.splitlines()[0]}")
raise SystemExit("KeyError: np.int32(2)" not in actual)
