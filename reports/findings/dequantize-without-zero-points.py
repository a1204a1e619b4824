"""Dequantize_per_channel without zero points does not convert.

zero_points is optional in the operator's schema and absent for symmetric quantization. The converter compares its
dtype with the data's before it asks whether there is one.
"""

import coremltools as ct
import torch
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower
from executorch.version import __version__ as executorch

DEQUANTIZE = torch.ops.quantized_decomposed.dequantize_per_channel.default


class Module(torch.nn.Module):
    def forward(self, x):
        return x + DEQUANTIZE(torch.ones(2, 3, dtype=torch.int8), torch.ones(2), None, 0, -128, 127, torch.int8)


inputs = (torch.ones(2, 3),)
print(f"executorch {executorch}, coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    to_edge_transform_and_lower(exported, partitioner=[CoreMLPartitioner()])
    actual = "it lowers"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it lowers\nactual:   {actual.splitlines()[0]}")
raise SystemExit("'NoneType' object has no attribute 'dtype'" not in actual)
