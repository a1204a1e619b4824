"""Mutable buffers are taken over as state for targets that have none.

`take_over_mutable_buffer` is true by default, whatever the target. The backend's own recipes turn it off for lower
targets; the partitioner does not.
"""

import coremltools as ct
import torch
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower
from executorch.version import __version__ as executorch


class Module(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("count", torch.zeros(1))

    def forward(self, x):
        self.count.add_(1)
        return x + self.count


inputs = (torch.ones(2),)
print(f"executorch {executorch}, coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    to_edge_transform_and_lower(exported, partitioner=[CoreMLPartitioner()])
    actual = "it lowers"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it lowers\nactual:   {actual}")
raise SystemExit("State model is supported only >= iOS18" not in actual)
