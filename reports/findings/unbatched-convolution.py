"""Convolutions of an input without batch dimension do not convert.

The partitioner asks that conv1d, conv2d and conv3d be kept whole, so PyTorch's own decomposition, which adds the
batch dimension, does not run. The converter hands the input of shape (C, *spatial) to MIL's conv, which reads
dimension 0 as batch and dimension 1 as channels. conv_transpose has no such check and takes the wrong dimensions.
"""

import coremltools as ct
import torch


class Module(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Conv2d(2, 3, 3)

    def forward(self, x):
        return self.layer(x)


inputs = (torch.randn(2, 5, 5),)
print(f"coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    ct.convert(exported.run_decompositions({}), minimum_deployment_target=ct.target.iOS18)
    actual = "it converts"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it converts\nactual:   {actual.splitlines()[0]}")
raise SystemExit("C_in / groups" not in actual)
