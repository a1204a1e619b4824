"""Choosing quantization parameters at run time is claimed although the converter declines it.

The converter registers choose_qparams_per_token_asymmetric for this message alone, and a registered name is claimed;
ExecuTorch has a kernel for it.
"""

import coremltools as ct
import torch
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower
from executorch.version import __version__ as executorch

operators = torch.ops.quantized_decomposed


class Module(torch.nn.Module):
    def forward(self, x):
        return operators.choose_qparams_per_token_asymmetric(x, torch.int8)


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
raise SystemExit("Dynamic activation quantization is not supported" not in actual)
