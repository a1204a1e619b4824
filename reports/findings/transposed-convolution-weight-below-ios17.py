"""Transposed convolutions with weights computed at run time are claimed for targets that want constant ones.

From iOS17 on MIL's conv_transpose takes any weight, before only constants. The partitioner asks for the operator's
name alone, and for no target.
"""

import coremltools as ct
import torch
import torch.nn.functional as F
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower
from executorch.version import __version__ as executorch


class Module(torch.nn.Module):
    def forward(self, x, weight):
        return F.conv_transpose1d(x, weight)


inputs = (torch.ones(1, 2, 4), torch.ones(2, 3, 3))
print(f"executorch {executorch}, coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    to_edge_transform_and_lower(exported, partitioner=[CoreMLPartitioner()])
    actual = "it lowers"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it lowers\nactual:   {actual.splitlines()[0]}")
raise SystemExit("Input weight must be const at compile time" not in actual)
