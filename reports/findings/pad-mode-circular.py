"""Pad in mode circular is claimed although MIL has no such mode.

The converter lists circular among the modes it takes and passes it to MIL's pad, which has three others. The
partitioner claims aten.pad by name and keeps it whole, so the decomposition that would lower does not run.
"""

import coremltools as ct
import torch
import torch.nn.functional as F
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower
from executorch.version import __version__ as executorch


class Module(torch.nn.Module):
    def forward(self, x):
        return F.pad(x, (1, 1), mode="circular")


inputs = (torch.randn(1, 2, 4),)
print(f"executorch {executorch}, coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    to_edge_transform_and_lower(exported, partitioner=[CoreMLPartitioner()])
    actual = "it lowers"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it lowers\nactual:   {actual.splitlines()[0]}")
raise SystemExit("Pad mode should be one of" not in actual)
