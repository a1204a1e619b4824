"""Pixel_shuffle and pixel_unshuffle convert for rank 4 only.

PyTorch takes (*, C, H, W). MIL's operators unpack four dimensions; the converter hands the tensor on as it is, where
a reshape before and after would do.
"""

import coremltools as ct
import torch
import torch.nn.functional as F


class Module(torch.nn.Module):
    def forward(self, x):
        return F.pixel_shuffle(x, 2)


inputs = ((torch.randn(1, 4, 4, 4))[0],)
print(f"coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    ct.convert(exported.run_decompositions({}), minimum_deployment_target=ct.target.iOS18)
    actual = "it converts"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it converts\nactual:   {actual.splitlines()[0]}")
raise SystemExit("values to unpack (expected 4" not in actual)
