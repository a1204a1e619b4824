"""A copy to channels_last is claimed although the converter declines it.

The copy becomes _to_dim_order_copy with a dim_order other than 0, 1, 2, 3. The converter registers the operator and
raises for every other order; the partitioner claims it by its name.
"""

import coremltools as ct
import torch
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower
from executorch.version import __version__ as executorch


class Module(torch.nn.Module):
    def forward(self, x):
        return x.to(torch.float16, memory_format=torch.channels_last)


inputs = (torch.ones(1, 2, 3, 4),)
print(f"executorch {executorch}, coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    to_edge_transform_and_lower(exported, partitioner=[CoreMLPartitioner()])
    actual = "it lowers"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it lowers\nactual:   {actual.splitlines()[0]}")
raise SystemExit("non-contiguous dim order" not in actual)
