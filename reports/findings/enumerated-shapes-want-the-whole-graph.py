"""Enumerated shapes are taken with lower_full_graph=True only.

The compile spec names inputs of the whole program, which those of a part are not.
"""

import coremltools as ct
import torch
from executorch.backends.apple.coreml.compiler import CoreMLBackend
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower
from executorch.version import __version__ as executorch


class Module(torch.nn.Module):
    def forward(self, x):
        return torch.relu(x)


inputs = (torch.randn(1, 3),)
print(f"executorch {executorch}, coremltools {ct.__version__}, torch {torch.__version__}")
exported = torch.export.export(Module().eval(), inputs)
shapes = CoreMLBackend.generate_enumerated_shapes_compile_spec(exported, {"x": [[1, 3], [2, 3]]})
try:
    to_edge_transform_and_lower(exported, partitioner=[CoreMLPartitioner(compile_specs=[shapes])])
    actual = "it lowers"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it lowers\nactual:   {actual}")
raise SystemExit("lower_full_graph must be True" not in actual)
