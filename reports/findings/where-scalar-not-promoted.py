"""where(condition, 0, x) with an integer scalar does not convert; neither does hardshrink.

The converter function of where.ScalarSelf gives both branches to MIL's select without promoting them to one type, as
that of where.self does. hardshrink decomposes to exactly this call with the integer 0.
"""

import coremltools as ct
import torch
from executorch.backends.apple.coreml.compiler import CoreMLBackend
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower

TELLING = "must have the same data type as the named input"


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
        "hardshrink": (torch.nn.functional.hardshrink, x),
        "where(c, 0, x)": (lambda x: torch.where(x > 0, 0, x), x),
    }
    neighbours = {
        "where(c, 0.0, x)": (lambda x: torch.where(x > 0, 0.0, x), x),
    }
    shown = []
    for name, (function, *inputs) in (defective | neighbours).items():
        error = error_of_lowering(function, *inputs)
        print(f"{name}: {error or 'lowers'}")
        if name in defective and TELLING in error:
            shown.append(name)
    print(
        f"shown: the integer scalar reaches select unpromoted ({', '.join(shown)})"
        if shown
        else "not shown: no call fails this way"
    )
    return 0 if shown else 1


if __name__ == "__main__":
    raise SystemExit(main())
