"""_clone_dim_order is taken to have a dim_order always.

ExecuTorch's own function for the operator takes dim_order out of the keyword arguments without asking for it; where
none is given, there are no keyword arguments at all. The passes that put this operator in always give one.
"""

import coremltools as ct
import torch
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower
from executorch.version import __version__ as executorch


class Module(torch.nn.Module):
    def forward(self, x):
        return torch.ops.dim_order_ops._clone_dim_order(x, dim_order=None)


inputs = (torch.randn(2, 3),)
print(f"executorch {executorch}, coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    to_edge_transform_and_lower(exported, partitioner=[CoreMLPartitioner()])
    actual = "it lowers"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it lowers\nactual:   {actual.splitlines()[0]}")
raise SystemExit("'NoneType' object has no attribute 'pop'" not in actual)
