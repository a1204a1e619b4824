"""prelu with a weight per channel converts for rank 4 only.

MIL's prelu takes different values per channel at rank 4, and declines them at rank 3 and 5. coremltools expands an
input of rank 2 to rank 3, the rank that is declined, and leaves rank 3 as it is.
"""

import coremltools as ct
import torch
from executorch.backends.apple.coreml.compiler import CoreMLBackend
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower

TELLING = "prelu op: rank 3 or rank 5 input is only supported"


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
    prelu = torch.nn.PReLU(5)
    prelu.weight.data = torch.arange(5.0)
    defective = {
        "rank 2": (prelu, torch.randn(1, 5)),
        "rank 3": (prelu, torch.randn(1, 5, 5)),
    }
    neighbours = {
        "rank 4": (prelu, torch.randn(1, 5, 5, 5)),
    }
    shown = []
    for name, (function, *inputs) in (defective | neighbours).items():
        error = error_of_lowering(function, *inputs)
        print(f"{name}: {error or 'lowers'}")
        if name in defective and TELLING in error:
            shown.append(name)
    print(
        f"shown: the input is given the rank that MIL declines ({', '.join(shown)})"
        if shown
        else "not shown: no call fails this way"
    )
    return 0 if shown else 1


if __name__ == "__main__":
    raise SystemExit(main())
