"""ConvTranspose3d with output_padding up to its padding does not convert.

Where output_padding is within the padding, the converter takes it off the end of the padding, and has that for one
and two dimensions only.
"""

import coremltools as ct
import torch


class Module(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.ConvTranspose3d(2, 4, 3, stride=2, padding=1, output_padding=1)

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
raise SystemExit("output_padding is supported only for" not in actual)
