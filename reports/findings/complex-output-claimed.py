"""Operators with a complex result are claimed although Core ML has no complex outputs.

coremltools lowers complex values inside a program and declines them as outputs, in the pass lower_complex_dialect_ops
for compute precision fp32 and when outputs are declared for fp16. The partitioner claims by name and does not look
where the value goes.
"""

import coremltools as ct
import torch
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower
from executorch.version import __version__ as executorch


class Module(torch.nn.Module):
    def forward(self, x):
        return torch.fft.fft(x, 8, -1, "ortho")


inputs = (torch.randn(8),)
print(f"executorch {executorch}, coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    to_edge_transform_and_lower(exported, partitioner=[CoreMLPartitioner()])
    actual = "it lowers"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it lowers\nactual:   {actual.splitlines()[0]}")
raise SystemExit("MIL doesn't support complex data as model's output" not in actual)
