"""ExecuTorch writes the size of a full as a tuple, which the converter does not take.

PruneEmptyTensorsPass replaces such a cat by full(size, 0) with a tuple for the size, where exported graphs have
immutable lists; get_arguments of the converter knows lists alone.
"""

import coremltools as ct
import torch
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower
from executorch.version import __version__ as executorch


class Module(torch.nn.Module):
    def forward(self, x, y):
        return torch.cat([x, y])


inputs = (torch.ones(0), torch.ones(0))
print(f"executorch {executorch}, coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    to_edge_transform_and_lower(exported, partitioner=[CoreMLPartitioner()])
    actual = "it lowers"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it lowers\nactual:   {actual.splitlines()[0]}")
raise SystemExit("Unhandled node type <class 'tuple'>" not in actual)
