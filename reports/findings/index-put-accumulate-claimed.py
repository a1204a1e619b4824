"""Index_put that accumulates over whole slices is claimed although the converter declines it.

With None among the indices the converter uses torch_tensor_assign, which cannot add, and raises for accumulate=True.
The partitioner claims the operator by its name.
"""

import coremltools as ct
import torch
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower
from executorch.version import __version__ as executorch


class Module(torch.nn.Module):
    def forward(self, x, index, y):
        return x.index_add(1, index, y)


inputs = (torch.ones(3, 3), torch.tensor([0, 2]), torch.ones(3, 2))
print(f"executorch {executorch}, coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    to_edge_transform_and_lower(exported, partitioner=[CoreMLPartitioner()])
    actual = "it lowers"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it lowers\nactual:   {actual.splitlines()[0]}")
raise SystemExit("whole slice" not in actual)
