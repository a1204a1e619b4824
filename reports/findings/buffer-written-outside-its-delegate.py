"""A mutable buffer that Core ML reads and an operator left to ExecuTorch writes.

A mutable buffer goes into the delegate that uses it, whether or not the operator that writes its new value is in that
delegate. In the program that is left the new value belongs to a buffer that is no longer there.
"""

import coremltools as ct
import torch
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower
from executorch.version import __version__ as executorch


class Module(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("average", torch.zeros(4))

    def forward(self, x):
        y = x * 2
        self.average.mul_(0.9).add_(y, alpha=0.1)
        return y - self.average


inputs = (torch.randn(4),)
print(f"executorch {executorch}, coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    to_edge_transform_and_lower(exported, partitioner=[CoreMLPartitioner()])
    actual = "it lowers"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: a program\nactual:   {actual.splitlines()[0]}")
raise SystemExit("does not point to a buffer that exists" not in actual)
