"""A part of a program that takes no input is claimed below iOS18, which has no programs without inputs.

The partitioner claims nodes without asking whether any input of the program leads to them. The specification versions
of iOS15 to 17 want an input, so that the package is refused when it is complete.
"""

import coremltools as ct
import torch
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower
from executorch.version import __version__ as executorch


class Module(torch.nn.Module):
    def forward(self, x):
        return torch.linspace(0.0, 1.0, 5)


inputs = (torch.ones(2),)
print(f"executorch {executorch}, coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    to_edge_transform_and_lower(exported, partitioner=[CoreMLPartitioner()])
    actual = "it lowers"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it lowers\nactual:   {actual.splitlines()[0]}")
raise SystemExit("Deploying a model with no inputs in CoreML requires" not in actual)
