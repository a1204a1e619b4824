"""A mutable buffer that is read and then overwritten by an input as it is.

The new value of the buffer is the input's placeholder. In the program of the delegate the buffer's output then names
a placeholder that is no result, and the verifier of exported programs looks for the buffer there.
"""

import coremltools as ct
import torch
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower
from executorch.version import __version__ as executorch


class Module(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("last", torch.zeros(2, 3))

    def forward(self, x):
        before = self.last + 0
        self.last.copy_(x)
        return x - before


inputs = (torch.randn(2, 3),)
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
