"""Torch's named results are no output of a program.

ExecuTorch writes down how outputs are nested, as text, and PyTorch registers its named results without the name that
this needs.
"""

import coremltools as ct
import torch
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower
from executorch.version import __version__ as executorch


class Module(torch.nn.Module):
    def forward(self, x):
        return torch.topk(x, 2)


inputs = (torch.randn(5),)
print(f"executorch {executorch}, coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    to_edge_transform_and_lower(exported, partitioner=[CoreMLPartitioner()]).to_executorch()
    actual = "it is emitted"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it is emitted\nactual:   {actual.splitlines()[0]}")
raise SystemExit("No registered serialization name" not in actual)
