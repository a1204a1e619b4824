"""Hardtanh with equal bounds does not convert.

PyTorch takes min_val == max_val and gives that value everywhere. The converter passes both on to MIL's clip, which
asks for alpha < beta; its function of clamp makes a fill of this case.
"""

import coremltools as ct
import torch
import torch.nn.functional as F


class Module(torch.nn.Module):
    def forward(self, x):
        return F.hardtanh(x, 0.0, 0.0)


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
raise SystemExit("should be smaller than `beta` value" not in actual)
