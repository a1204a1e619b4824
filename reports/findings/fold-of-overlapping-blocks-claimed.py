"""Fold is claimed although the converter takes few kinds of it.

The converter makes one gather of it, which cannot add where blocks overlap, and says so for a stride below the kernel
size, for dilation and for edges left over; an input without batch dimension fails to unpack. The partitioner claims
col2im by name.
"""

import coremltools as ct
import torch
import torch.nn.functional as F
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower
from executorch.version import __version__ as executorch


class Module(torch.nn.Module):
    def forward(self, x):
        return F.fold(x, (4, 4), (2, 2))


inputs = (torch.randn(1, 4, 9),)
print(f"executorch {executorch}, coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    to_edge_transform_and_lower(exported, partitioner=[CoreMLPartitioner()])
    actual = "it lowers"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it lowers\nactual:   {actual.splitlines()[0]}")
raise SystemExit("Only supports stride >= kernel_size for col2im" not in actual)
