"""Nll_loss with an ignore_index is claimed although the converter declines it.

The converter knows the default of -100 only and raises for the rest; the partitioner claims the operator by its name.
"""

import coremltools as ct
import torch
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower
from executorch.version import __version__ as executorch


class Module(torch.nn.Module):
    def forward(self, x, target):
        return torch.ops.aten.nll_loss_nd(x, target, None, 2, 0)


inputs = (torch.ones(2, 3), torch.tensor([1, 2]))
print(f"executorch {executorch}, coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    to_edge_transform_and_lower(exported, partitioner=[CoreMLPartitioner()])
    actual = "it lowers"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it lowers\nactual:   {actual.splitlines()[0]}")
raise SystemExit("ignore index not supported" not in actual)
