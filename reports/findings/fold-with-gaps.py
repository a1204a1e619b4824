"""Fold with a stride above the kernel size does not convert.

fold is converted as the inverse of unfold. The inverse is written into a list as long as the blocks have elements;
where the stride is above the kernel size the image is larger, and its positions lie beyond the end of the list.
"""

import coremltools as ct
import torch
import torch.nn.functional as F


class Module(torch.nn.Module):
    def forward(self, x):
        return F.fold(x, (4, 6), (1, 1), stride=(2, 3))


inputs = (torch.randn(1, 12, 4),)
print(f"coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    ct.convert(exported.run_decompositions({}), minimum_deployment_target=ct.target.iOS18)
    actual = "it converts"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it converts\nactual:   {actual.splitlines()[0]}")
raise SystemExit("is out of bounds for axis 0 with size" not in actual)
