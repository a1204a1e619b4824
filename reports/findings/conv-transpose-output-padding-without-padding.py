"""ConvTranspose with output_padding and no padding does not convert, with an error that says nothing.

The converter means to decline output_padding where every width of the padding is 0, and says so in words. Before it
comes to that it sums the padding, which it was given as None.
"""

import coremltools as ct
import torch


class Module(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.ConvTranspose2d(2, 4, 3, stride=2, output_padding=1)

    def forward(self, x):
        return self.layer(x)


inputs = (torch.randn(1, 2, 4, 4),)
print(f"coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    ct.convert(exported.run_decompositions({}), minimum_deployment_target=ct.target.iOS18)
    actual = "it converts"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it converts\nactual:   {actual.splitlines()[0]}")
raise SystemExit("'NoneType' object is not iterable" not in actual)
