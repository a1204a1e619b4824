"""A ring buffer that keeps its own position does not convert: the position is read as a float.

The Core ML partitioner takes the integer buffer over as state. coremltools reads a state as float16 and casts it to
float32; nothing casts it to the integers that the graph says it is.
"""

import coremltools as ct
import torch
from executorch.backends.apple.coreml.compiler import CoreMLBackend
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower


class Ring(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("ring", torch.zeros(3, 4))
        self.register_buffer("number", torch.zeros(1, dtype=torch.int64))

    def forward(self, x):
        self.ring.index_copy_(0, self.number % 3, x)
        self.number.add_(1)
        return self.ring.sum(0) + x


def outcome(**options) -> str:
    specs = CoreMLBackend.generate_compile_specs(minimum_deployment_target=ct.target.iOS18)
    exported = torch.export.export(Ring().eval(), (torch.randn(1, 4),))
    try:
        to_edge_transform_and_lower(exported, partitioner=[CoreMLPartitioner(compile_specs=specs, **options)])
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "a program"


print(f"coremltools {ct.__version__}, torch {torch.__version__}")
taken, left = outcome(), outcome(take_over_mutable_buffer=False)
print(f"expected: a program\nactual:   {taken}\nwith take_over_mutable_buffer=False: {left}")
raise SystemExit("Only bool and int index handled, got" not in taken or left != "a program")
