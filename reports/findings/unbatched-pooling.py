"""Pooling of an input without batch dimension does not convert.

PyTorch's pooling takes (C, *spatial) too. The converter gives the input to MIL's pooling as it is, which counts two
leading dimensions as batch and channels and is left with one spatial dimension too few. adaptive pooling is expanded
properly.
"""

import coremltools as ct
import torch


class Module(torch.nn.Module):
    def forward(self, x):
        return torch.nn.MaxPool2d(2)(x)


inputs = (torch.randn(2, 4, 4),)
print(f"coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    ct.convert(exported.run_decompositions({}), minimum_deployment_target=ct.target.iOS18)
    actual = "it converts"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it converts\nactual:   {actual.splitlines()[0]}")
raise SystemExit("and custom_pad (length" not in actual)
