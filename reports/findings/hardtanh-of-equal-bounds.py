"""hardtanh with equal bounds, a constant, does not convert.

torch allows min_val == max_val, where every element takes that value. coremltools passes the bounds on to MIL's clip,
which asks for alpha < beta; its function for clamp handles the case by a fill.
"""

import coremltools as ct
import torch
import torch.nn.functional as F
from executorch.backends.apple.coreml.compiler import CoreMLBackend
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower

TELLING = "should be smaller than `beta` value"


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
        "hardtanh(x, 0, 0)": (lambda x: F.hardtanh(x, 0.0, 0.0), x),
    }
    neighbours = {
        "hardtanh(x, 0, 1)": (lambda x: F.hardtanh(x, 0.0, 1.0), x),
        "clamp(x, 0, 0)": (lambda x: torch.clamp(x, 0.0, 0.0), x),
    }
    shown = []
    for name, (function, *inputs) in (defective | neighbours).items():
        error = error_of_lowering(function, *inputs)
        print(f"{name}: {error or 'lowers'}")
        if name in defective and TELLING in error:
            shown.append(name)
    print(f"shown: equal bounds are declined ({', '.join(shown)})" if shown else "not shown: no call fails this way")
    return 0 if shown else 1


if __name__ == "__main__":
    raise SystemExit(main())
