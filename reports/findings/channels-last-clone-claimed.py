"""A clone to channels_last is claimed although the converter declines it.

The decomposition of upsample_bicubic2d gives its result the memory format that its input suggests, and a transposed
sequence of tokens suggests channels_last: the graph then has a _clone_dim_order with dim_order 0, 2, 3, 1. The
converter of ExecuTorch asserts that the order is the ordinary one; the partitioner claims the operator by its name.
"""

import coremltools as ct
import torch
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower
from executorch.version import __version__ as executorch


class Module(torch.nn.Module):
    def forward(self, x):  # [batch, tokens, channels]
        x = x.transpose(1, 2).view(1, 8, 3, 3)
        return torch.nn.functional.interpolate(x, size=(5, 5), mode="bicubic")


inputs = (torch.randn(1, 9, 8),)
print(f"executorch {executorch}, coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    to_edge_transform_and_lower(exported, partitioner=[CoreMLPartitioner()])
    actual = "it lowers"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it lowers\nactual:   {actual.splitlines()[0]}")
raise SystemExit("Only contiguous memory format is supported in CoreML" not in actual)
