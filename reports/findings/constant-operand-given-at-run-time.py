"""Layer_norm, instance_norm, prelu, stft and dequantize_codebook are claimed although an operand is no constant.

MIL declares gamma and beta, alpha and the window as constants. The partitioner asks coremltools whether it knows the
operator's name and does not look at the operands. prelu of rank 2 and above multiplies the missing value into an
array before that (a TypeError), of an input without channels it hands on the empty array made from it.
dequantize_codebook reads the shape of codes that have no value (an AttributeError).
"""

import coremltools as ct
import torch
import torch.nn.functional as F
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower
from executorch.version import __version__ as executorch


class Module(torch.nn.Module):
    def forward(self, x, w):
        return F.layer_norm(x, (4,), w)


inputs = (torch.randn(2, 4), torch.randn(4))
print(f"executorch {executorch}, coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    to_edge_transform_and_lower(exported, partitioner=[CoreMLPartitioner()])
    actual = "it lowers"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it lowers\nactual:   {actual.splitlines()[0]}")
raise SystemExit("must be const at compile time" not in actual)
