"""Nodes with complex inputs or casts to complex are claimed although Core ML has no complex type.

The partitioner asks coremltools for the name of the operator alone. A complex partition input is then looked up in
TORCH_DTYPE_TO_MIL_DTYPE, a complex dtype argument (irfft2 and hfft of real tensors have one) in TORCH_DTYPE_TO_NUM;
neither has an entry.
"""

import coremltools as ct
import torch
import torch.nn.functional as F
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower
from executorch.version import __version__ as executorch


class Module(torch.nn.Module):
    def forward(self, x):
        return F.silu(x)


inputs = (torch.ones(3, dtype=torch.complex64),)
print(f"executorch {executorch}, coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    to_edge_transform_and_lower(exported, partitioner=[CoreMLPartitioner()])
    actual = "it lowers"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it lowers\nactual:   {actual.splitlines()[0]}")
raise SystemExit("KeyError: torch.complex" not in actual)
