"""Cumsum along a negative dim other than -1 does not convert.

MIL's cumsum takes axes from -1 to rank - 1. The converter passes a dim of -2 on instead of counting it from the
front.
"""

import coremltools as ct
import torch


class Module(torch.nn.Module):
    def forward(self, x):
        return torch.cumsum(x, -2)


inputs = (torch.randn(3, 4),)
print(f"coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    ct.convert(exported.run_decompositions({}), minimum_deployment_target=ct.target.iOS18)
    actual = "it converts"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it converts\nactual:   {actual.splitlines()[0]}")
raise SystemExit("axis should be in the range [-1, 1]" not in actual)
