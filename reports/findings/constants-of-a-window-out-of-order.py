"""A Kaiser window does not lower: constants of the program are renamed out of step with its signature.

Lowering lifts the numbers of the program to inputs several times. The names of the inputs and those that the signature
has for them then differ, and the verifier refuses the program.
"""

import coremltools as ct
import torch
from executorch.backends.apple.coreml.compiler import CoreMLBackend
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import EdgeCompileConfig, to_edge_transform_and_lower
from executorch.version import __version__ as executorch


class Module(torch.nn.Module):
    def forward(self):
        return torch.signal.windows.kaiser(2, sym=True)


inputs = ()
print(f"executorch {executorch}, coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
specs = CoreMLBackend.generate_compile_specs(minimum_deployment_target=ct.target.iOS18)
config = EdgeCompileConfig(_check_ir_validity=False)
try:
    partitioner = CoreMLPartitioner(compile_specs=specs)
    to_edge_transform_and_lower(exported, partitioner=[partitioner], compile_config=config)
    actual = "it lowers"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it lowers\nactual:   {actual}")
raise SystemExit("does not match node name" not in actual)
