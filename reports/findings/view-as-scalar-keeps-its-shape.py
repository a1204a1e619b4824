"""View(()) of a one-element tensor keeps its dimensions.

The function of view makes the empty shape an identity, also where the input has shape (1, 1, 1). The program's value
then has more dimensions than the graph's. `_to_dim_order_copy` is the first to notice, by comparing the empty dim
order with a range over the three dimensions still there.
"""

import coremltools as ct
import torch
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower
from executorch.version import __version__ as executorch


class Module(torch.nn.Module):
    def forward(self, x):
        return x.sum((0, 1), keepdim=True).view(()).to(torch.int32)


inputs = (torch.randn(3, 3),)
print(f"executorch {executorch}, coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    to_edge_transform_and_lower(exported, partitioner=[CoreMLPartitioner()])
    actual = "it lowers"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it lowers\nactual:   {actual.splitlines()[0]}")
raise SystemExit("operands could not be broadcast together with shapes (0,) (2,)" not in actual)
