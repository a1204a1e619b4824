"""Nonzero of an empty tensor has a stride of 0 and cannot be emitted.

Eager lays the indices of nonzero out by column, so that no rows give the strides (1, 0), and torch.export records
them. dim_order_from_stride refuses any 0, though a tensor without elements has no order of dimensions.
"""

import coremltools as ct
import torch
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower
from executorch.version import __version__ as executorch


class Module(torch.nn.Module):
    def forward(self, x):
        return torch.nonzero(x)


inputs = (torch.ones(5, 0),)
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
