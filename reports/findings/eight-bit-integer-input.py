"""An int8 or uint8 input has no entry in the table of dtypes.

The dtype of a partition input is looked up in TORCH_DTYPE_TO_MIL_DTYPE, which has bool, int16, int32, int64 and
floats. int16 is passed as int32 in the next line; int8 and uint8 are neither passed so nor refused in words, and the
partitioner does not look at dtypes.
"""

import coremltools as ct
import torch
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower
from executorch.version import __version__ as executorch


class Module(torch.nn.Module):
    def forward(self, x):
        return x.to(torch.float32) / 255


inputs = (torch.ones(1, 3, 4, 4, dtype=torch.uint8),)
print(f"executorch {executorch}, coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    to_edge_transform_and_lower(exported, partitioner=[CoreMLPartitioner()])
    actual = "it lowers"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it lowers\nactual:   {actual.splitlines()[0]}")
raise SystemExit("KeyError: torch.uint8" not in actual)
