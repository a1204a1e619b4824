"""_convolution_mode asks a text for its value.

The function reads inputs[4].val. From torch.export an argument that is text arrives as a str, which has none;
conv2d.padding and its like, which torch.nn.functional calls, know that.
"""

import coremltools as ct
import torch


class Module(torch.nn.Module):
    def forward(self, x, w):
        return torch.ops.aten._convolution_mode(x, w, None, [1], "same", [1], 1)


inputs = (torch.randn(1, 4, 8), torch.randn(2, 4, 3))
print(f"coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    ct.convert(exported.run_decompositions({}), minimum_deployment_target=ct.target.iOS18)
    actual = "it converts"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it converts\nactual:   {actual.splitlines()[0]}")
raise SystemExit("'str' object has no attribute 'val'" not in actual)
