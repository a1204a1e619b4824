"""Reshaping an empty tensor does not convert, because MIL reads the size 0 as "keep this dimension".

In the shape of MIL's reshape a 0 is replaced by the dimension of the input it is aligned with, from the right since
iOS 17, and by 1 where there is none. The converter passes sizes on unchanged, so that a size that is 0 becomes
another.
"""

import coremltools as ct
import torch


class Module(torch.nn.Module):
    def forward(self, x):
        return x.view(0, 1, 2)


inputs = (torch.randn(0, 2),)
print(f"coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    ct.convert(exported.run_decompositions({}), minimum_deployment_target=ct.target.iOS18)
    actual = "it converts"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it converts\nactual:   {actual.splitlines()[0]}")
raise SystemExit("Invalid target shape in `reshape` op ([0, 2]" not in actual)
