"""tile with more counts than the tensor has dimensions does not convert.

torch.tile prepends dimensions when it is given more counts than the tensor has. coremltools' converter function
handles fewer counts only; that of repeat, which means the same here, does prepend.
"""

import coremltools as ct
import torch
from executorch.backends.apple.coreml.compiler import CoreMLBackend
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower

TELLING = "Length of the reps (2) must be at least 1, and equal to the rank of the input x (1)"


class Call(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *inputs):
        return self.function(*inputs)


def error_of_lowering(function, *inputs) -> str:
    """The exception of lowering as text, or nothing when it lowers."""
    specs = CoreMLBackend.generate_compile_specs(
        compute_precision=ct.precision.FLOAT32, minimum_deployment_target=ct.target.iOS18
    )
    program = torch.export.export(Call(function).eval(), inputs)
    try:
        to_edge_transform_and_lower(program, partitioner=[CoreMLPartitioner(compile_specs=specs)])
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def main() -> int:
    x = torch.randn(3)
    defective = {
        "tile((2, 2)) of a vector": (lambda x: torch.tile(x, (2, 2)), x),
    }
    neighbours = {
        "repeat(2, 2) of a vector": (lambda x: x.repeat(2, 2), x),
    }
    shown = []
    for name, (function, *inputs) in (defective | neighbours).items():
        error = error_of_lowering(function, *inputs)
        print(f"{name}: {error or 'lowers'}")
        if name in defective and TELLING in error:
            shown.append(name)
    print(f"shown: no dimension is prepended ({', '.join(shown)})" if shown else "not shown: no call fails this way")
    return 0 if shown else 1


if __name__ == "__main__":
    raise SystemExit(main())
