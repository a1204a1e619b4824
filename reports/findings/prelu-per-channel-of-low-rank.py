"""Prelu with a weight per channel converts for rank 4 only.

MIL's prelu declines a weight per channel at rank 3 and 5. The converter expands an input of rank 2 to rank 3, and
leaves rank 3 as it is, where one more dimension would give the rank that is taken.
"""

import coremltools as ct
import torch
import torch.nn.functional as F


class Module(torch.nn.Module):
    def forward(self, x):
        return F.prelu(x, torch.arange(5.0))


inputs = (torch.randn(1, 5),)
print(f"coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    ct.convert(exported.run_decompositions({}), minimum_deployment_target=ct.target.iOS18)
    actual = "it converts"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it converts\nactual:   {actual.splitlines()[0]}")
raise SystemExit("prelu op: rank 3 or rank 5 input is only supported" not in actual)
