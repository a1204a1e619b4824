"""A module without inputs that has two constants.

ExecuTorch makes placeholders of constants and puts them before the first input of the user. Where there is none each
goes to the beginning of the graph, before the one made last, while their specifications keep the order in which they
were made.
"""

import coremltools as ct
import torch
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower
from executorch.version import __version__ as executorch


class Module(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(1))

    def forward(self):
        self.calls.add_(1)
        return self.calls * 2


inputs = ()
print(f"executorch {executorch}, coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    to_edge_transform_and_lower(exported, partitioner=[CoreMLPartitioner()])
    actual = "it lowers"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: a program\nactual:   {actual.splitlines()[0]}")
raise SystemExit("does not match node name" not in actual)
