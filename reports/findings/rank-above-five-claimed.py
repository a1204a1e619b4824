"""Nodes with tensors of more than five dimensions are claimed.

Core ML's limit of five dimensions is checked when the program is complete, and the check names the first layer beyond
it; only a transpose between two reshapes is rewritten before. The partitioner sees the shapes of all values and does
not look, so the nodes are not left to ExecuTorch's kernels, which take more. Inputs and compressed constants are not
checked; in fp16 the cast that follows an input is.
"""

import coremltools as ct
import torch
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower
from executorch.version import __version__ as executorch


class Module(torch.nn.Module):
    def forward(self, x):
        return x + 1


inputs = ((torch.randn(1, 2, 3, 2, 2))[None],)
print(f"executorch {executorch}, coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    to_edge_transform_and_lower(exported, partitioner=[CoreMLPartitioner()])
    actual = "it lowers"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it lowers\nactual:   {actual.splitlines()[0]}")
raise SystemExit("Core ML only supports tensors with rank <= 5" not in actual)
