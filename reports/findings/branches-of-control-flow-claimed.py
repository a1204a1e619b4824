"""The branches of torch.cond are claimed, and lowering ends in an assertion.

The partitioner says yes to every get_attr node, for which it takes constants alone. Those of the branches go into a
delegate, the operator of control flow stays outside and is given a placeholder where it needs its branch.
"""

import traceback

import coremltools as ct
import torch
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower
from executorch.version import __version__ as executorch


class Module(torch.nn.Module):
    def forward(self, x):
        return torch.cond(x.sum() > 0, lambda x: x * 2, lambda x: x - 1, (x,))


inputs = (torch.randn(3, 4),)
print(f"executorch {executorch}, coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    to_edge_transform_and_lower(exported, partitioner=[CoreMLPartitioner()])
    actual = "it lowers"
except Exception as error:
    actual = f"{type(error).__name__}: {traceback.extract_tb(error.__traceback__)[-1].line}"
print(f"expected: it lowers\nactual:   {actual.splitlines()[0]}")
raise SystemExit("assert submod_node.op" not in actual)
