"""Sizes known at run time that enter or leave a delegate.

The runtime hands Core ML an array for each tensor, and has none for a number. The partitioner does not look at what
kind of values cross the boundary of a partition; a note in its source says that such nodes should be left out.
"""

import operator

import coremltools as ct
import torch
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower
from executorch.version import __version__ as executorch


class Module(torch.nn.Module):
    def forward(self, x):
        return torch.relu(x), x.shape[0] * 2


inputs = (torch.randn(4, 2),)
print(f"executorch {executorch}, coremltools {ct.__version__}, torch {torch.__version__}")
dynamic = ({0: torch.export.Dim("rows", min=2, max=8)},)
exported = torch.export.export(Module().eval(), inputs, dynamic_shapes=dynamic)
lowered = to_edge_transform_and_lower(exported, partitioner=[CoreMLPartitioner()])
graph = lowered.exported_program().graph
results = [node for node in graph.nodes if node.target is operator.getitem]
numbers = [node.name for node in results if isinstance(node.meta["val"], torch.SymInt)]
print(graph)
print(f"expected: every result of the delegate is a tensor\nactual:   {', '.join(numbers) or 'none'} is a number")
raise SystemExit(not numbers)
