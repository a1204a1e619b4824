"""A dilated convolution is claimed although its weight is no constant.

MIL's conv takes a weight that is computed, and dilations, but not both. It says so when its types are inferred; the
partitioner claims the operator by name.
"""

import coremltools as ct
import torch
import torch.nn.functional as F
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower
from executorch.version import __version__ as executorch


class Module(torch.nn.Module):
    def forward(self, x, w):
        return F.conv1d(x, w, dilation=2)


inputs = (torch.randn(1, 2, 8), torch.randn(3, 2, 3))
print(f"executorch {executorch}, coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    to_edge_transform_and_lower(exported, partitioner=[CoreMLPartitioner()])
    actual = "it lowers"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it lowers\nactual:   {actual.splitlines()[0]}")
raise SystemExit("Convolution with dynamic weights does not support dilations" not in actual)
