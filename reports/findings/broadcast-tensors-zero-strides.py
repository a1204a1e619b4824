"""The results of a claimed broadcast_tensors or meshgrid keep stride 0 and cannot be emitted.

The schemas of broadcast_tensors and meshgrid do not mark their results as views, so the partitioner keeps the
operators from decomposition. Eager describes the results with stride 0, the outputs of the delegate keep that
description though they are ordinary tensors, and dim_order_from_stride refuses it. expand is replaced by expand_copy
and emits.
"""

import coremltools as ct
import torch
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower
from executorch.version import __version__ as executorch


class Module(torch.nn.Module):
    def forward(self, x, y):
        return torch.broadcast_tensors(x, y)


inputs = (torch.ones(3), torch.ones(2, 1))
print(f"executorch {executorch}, coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    to_edge_transform_and_lower(exported, partitioner=[CoreMLPartitioner()]).to_executorch()
    actual = "it is emitted"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it is emitted\nactual:   {actual.splitlines()[0]}")
raise SystemExit("0 in strides" not in actual)
