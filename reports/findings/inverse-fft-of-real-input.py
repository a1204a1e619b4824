"""Inverse Fourier transforms of a real tensor do not convert.

PyTorch promotes a real input of an inverse transform to complex. The converter passes it on to complex_ifft and the
like, which take complex64 only, without building the complex value from it.
"""

import coremltools as ct
import torch
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower
from executorch.version import __version__ as executorch


class Module(torch.nn.Module):
    def forward(self, x):
        return torch.fft.ifft(x, 8, -1, "ortho").real


inputs = (torch.randn(8),)
print(f"executorch {executorch}, coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    to_edge_transform_and_lower(exported, partitioner=[CoreMLPartitioner()])
    actual = "it lowers"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it lowers\nactual:   {actual.splitlines()[0]}")
raise SystemExit("from type domain ['complex64'] but got tensor[8,fp32]" not in actual)
