"""ConvTranspose3d with output_padding above its padding does not convert.

The input is padded by 2 * (rank - 2) zeros followed by the widths of the spatial dimensions. Two numbers a dimension
are needed: 4 zeros for batch and channels, which the formula gives for two spatial dimensions only; for three the
list has 12 entries where the input has 5 dimensions.
"""

import coremltools as ct
import torch


class Module(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.ConvTranspose3d(2, 4, 3, stride=3, padding=1, output_padding=2)

    def forward(self, x):
        return self.layer(x)


inputs = (torch.randn(1, 2, 4, 4, 4),)
print(f"coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    ct.convert(exported.run_decompositions({}), minimum_deployment_target=ct.target.iOS18)
    actual = "it converts"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it converts\nactual:   {actual.splitlines()[0]}")
raise SystemExit("Number of dimensions specified through pad must less than or equal to rank" not in actual)
