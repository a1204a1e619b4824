"""Quantization to other integers than int8 and uint8 is claimed although the converter declines it.

MIL's quantize and dequantize have two dtypes, and the converter says so; the partitioner claims the operators by
name.
"""

import coremltools as ct
import torch
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower
from executorch.version import __version__ as executorch

quantize = torch.ops.quantized_decomposed.quantize_per_tensor


class Module(torch.nn.Module):
    def forward(self, x):
        return quantize(x, 0.1, 0, -(2**31), 2**31 - 1, torch.int32)


inputs = (torch.randn(2, 3),)
print(f"executorch {executorch}, coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    to_edge_transform_and_lower(exported, partitioner=[CoreMLPartitioner()])
    actual = "it lowers"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it lowers\nactual:   {actual.splitlines()[0]}")
raise SystemExit("MIL quantization dtype must be int8 or uint8" not in actual)
