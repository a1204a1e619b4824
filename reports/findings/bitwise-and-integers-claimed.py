"""Bitwise_and of integers is claimed although the converter takes booleans only.

The converter makes a logical_and of booleans and raises for anything else; the partitioner asks for the name of the
operator alone.
"""

import coremltools as ct
import torch
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower
from executorch.version import __version__ as executorch


class Module(torch.nn.Module):
    def forward(self, x, y):
        return x & y


inputs = (torch.ones(3, dtype=torch.int32), torch.ones(3, dtype=torch.int32))
print(f"executorch {executorch}, coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    to_edge_transform_and_lower(exported, partitioner=[CoreMLPartitioner()])
    actual = "it lowers"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it lowers\nactual:   {actual.splitlines()[0]}")
raise SystemExit("only supports boolean input" not in actual)
