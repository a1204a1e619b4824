"""Clone of a transposed input cannot be lowered.

A pass replaces clone by an operator that names the order of dimensions, for which it takes that of the input. When
the operator is evaluated the order is mapped back to one of two memory formats, contiguous and channels-last; any
other order, such as that of a transposed matrix, raises.
"""

import coremltools as ct
import torch
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower
from executorch.version import __version__ as executorch


class Module(torch.nn.Module):
    def forward(self, x):
        return x.clone()


inputs = (torch.rand(3, 4).t(),)
print(f"executorch {executorch}, coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    to_edge_transform_and_lower(exported, partitioner=[CoreMLPartitioner()])
    actual = "it lowers"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it lowers\nactual:   {actual}")
raise SystemExit("Failed to map a given dim_order: [1, 0]" not in actual)
