"""An operator that the partitioner wants whole is refused because nothing would decompose it.

Operators that a partitioner keeps from decomposition are put on the verifier's list of exceptions only when the
decomposition table had an entry to remove for them. Operators outside Core ATen that have no decomposition are not in
the table, so the edge verifier refuses them before the partitioner is asked. Named in
EdgeCompileConfig(preserve_ops=...) the same program is delegated.
"""

import coremltools as ct
import torch
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower
from executorch.version import __version__ as executorch


class Module(torch.nn.Module):
    def forward(self, x):
        return torch.exp2(x)


inputs = (torch.rand(3),)
print(f"executorch {executorch}, coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    to_edge_transform_and_lower(exported, partitioner=[CoreMLPartitioner()])
    actual = "it lowers"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it lowers\nactual:   {actual.splitlines()[0]}")
raise SystemExit("aten.exp2.default is not in Core ATen opset" not in actual)
