"""The checks of a size that depends on data are delegated, as a part of the program that gives nothing.

torch.export guards a size known at run time only by comparisons and assertions. The partitioner claims both, and where
nothing else is claimed beside them the part has no output, behind which its call could be put.
"""

import coremltools as ct
import torch
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import EdgeCompileConfig, to_edge_transform_and_lower
from executorch.version import __version__ as executorch


class Module(torch.nn.Module):
    def forward(self, x):
        return torch.masked_select(x, x > 0)


inputs = (torch.ones(3, 3),)
print(f"executorch {executorch}, coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
config = EdgeCompileConfig(_check_ir_validity=False)
try:
    to_edge_transform_and_lower(exported, partitioner=[CoreMLPartitioner()], compile_config=config)
    actual = "it lowers"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it lowers\nactual:   {actual}")
raise SystemExit("Cannot determine insertion point" not in actual)
