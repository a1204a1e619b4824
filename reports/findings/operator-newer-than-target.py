"""Operators that MIL has from a later target on are claimed for earlier ones.

The partitioner asks coremltools whether it has a converter for the operator, and not whether the target has the MIL
operator that the converter emits.
"""

import coremltools as ct
import torch
import torch.nn.functional as F
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower
from executorch.version import __version__ as executorch


class Module(torch.nn.Module):
    def forward(self, x):
        return F.pixel_unshuffle(x, 2)


inputs = (torch.ones(1, 2, 4, 4),)
print(f"executorch {executorch}, coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    to_edge_transform_and_lower(exported, partitioner=[CoreMLPartitioner()])
    actual = "it lowers"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it lowers\nactual:   {actual.splitlines()[0]}")
raise SystemExit("No available version for pixel_unshuffle in the coremltools.target.iOS15 opset" not in actual)
