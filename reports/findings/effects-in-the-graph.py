"""Operators that check for errors at run time cannot be emitted.

torch.export keeps the check for errors in order by a token of effects, a higher-order operator that the emitter takes
for an ordinary one.
"""

import coremltools as ct
import torch
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import EdgeCompileConfig, to_edge_transform_and_lower
from executorch.version import __version__ as executorch


class Module(torch.nn.Module):
    def forward(self, x):
        return torch.linalg.cholesky(x)


inputs = (torch.eye(3),)
print(f"executorch {executorch}, coremltools {ct.__version__}, torch {torch.__version__}")
unchecked = EdgeCompileConfig(_check_ir_validity=False)
exported = torch.export.export(Module().eval(), inputs)
lowered = to_edge_transform_and_lower(exported, partitioner=[CoreMLPartitioner()], compile_config=unchecked)
try:
    lowered.to_executorch()
    actual = "it is emitted"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it is emitted\nactual:   {actual}")
raise SystemExit("'WithEffects' object has no attribute '_schema'" not in actual)
