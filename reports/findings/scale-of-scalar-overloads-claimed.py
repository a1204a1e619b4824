"""Add, sub and rsub with a number and an alpha are claimed although the converter declines alpha.

The partitioner's rule against alpha knows add.Tensor and sub.Tensor with alpha as a keyword. The overloads of a
number take it by position, are not in the rule, and are kept whole.
"""

import coremltools as ct
import torch
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower
from executorch.version import __version__ as executorch


class Module(torch.nn.Module):
    def forward(self, x):
        return torch.rsub(x, 1.0, alpha=2)


inputs = (torch.randn(3),)
print(f"executorch {executorch}, coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    to_edge_transform_and_lower(exported, partitioner=[CoreMLPartitioner()])
    actual = "it lowers"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it lowers\nactual:   {actual.splitlines()[0]}")
raise SystemExit("does not support scale factor param" not in actual)
