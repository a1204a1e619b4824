"""Unfold without a batch dimension is claimed although the converter declines it.

torch.nn.functional.unfold takes (C, H, W) too. The converter declines it rather than add a dimension, and the
partitioner claims im2col by name.
"""

import coremltools as ct
import torch
import torch.nn.functional as F
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower
from executorch.version import __version__ as executorch


class Module(torch.nn.Module):
    def forward(self, x):
        return F.unfold(x, 2)


inputs = ((torch.randn(1, 1, 4, 4))[0],)
print(f"executorch {executorch}, coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    to_edge_transform_and_lower(exported, partitioner=[CoreMLPartitioner()])
    actual = "it lowers"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it lowers\nactual:   {actual.splitlines()[0]}")
raise SystemExit("Only supports rank=4 input data for im2col" not in actual)
