"""A contiguous input with a dimension of size 0 or 1 is refused as not contiguous.

The check compares Tensor.dim_order() with 0, 1, 2, ... That order is read from the strides, which say nothing about
dimensions of size 0 or 1.
"""

import coremltools as ct
import torch
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower
from executorch.version import __version__ as executorch


class Module(torch.nn.Module):
    def forward(self, x):
        return x + 1


inputs = (torch.ones(1, 3, 1, 1).to(memory_format=torch.channels_last),)
print(f"executorch {executorch}, coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    to_edge_transform_and_lower(exported, partitioner=[CoreMLPartitioner()])
    actual = "it lowers"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it lowers\nactual:   {actual.splitlines()[0]}")
raise SystemExit("non-contiguous dim order" not in actual)
