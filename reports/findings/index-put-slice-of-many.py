"""X[:, indices] = values with more than one index does not convert.

Where one index is a whole slice, `_try_whole_slice` makes a single tensor assignment with one begin and one end a
dimension. It squeezes the index and assumes that one number is left; with several the list of begins mixes a vector
with numbers.
"""

import coremltools as ct
import torch
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower
from executorch.version import __version__ as executorch


class Module(torch.nn.Module):
    def forward(self, x, index, values):
        return x.index_copy(1, index, values)


inputs = (torch.randn(5, 5), torch.arange(3), torch.randn(5, 3))
print(f"executorch {executorch}, coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    to_edge_transform_and_lower(exported, partitioner=[CoreMLPartitioner()])
    actual = "it lowers"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it lowers\nactual:   {actual.splitlines()[0]}")
raise SystemExit("has rank 1 != other inputs rank 0" not in actual)
