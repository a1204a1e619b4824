"""Avg_pool3d with ceil_mode is claimed although the converter declines it.

MIL has no ceil mode for volumes. The converter imitates it by padding, which counts wrongly where padding is counted,
and declines that case; the partitioner claims the operator by name.
"""

import coremltools as ct
import torch
import torch.nn.functional as F
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower
from executorch.version import __version__ as executorch


class Module(torch.nn.Module):
    def forward(self, x):
        return F.avg_pool3d(x, 2, ceil_mode=True)


inputs = (torch.randn(1, 1, 5, 5, 5),)
print(f"executorch {executorch}, coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    to_edge_transform_and_lower(exported, partitioner=[CoreMLPartitioner()])
    actual = "it lowers"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it lowers\nactual:   {actual.splitlines()[0]}")
raise SystemExit("pool3D with ceil mode=True and include_pad=True not supported" not in actual)
