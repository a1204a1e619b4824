"""Reshaping an empty tensor does not convert: MIL reads the size 0 as 'keep this dimension'.

In the shape of MIL's reshape, 0 stands for the corresponding dimension of the input, aligned to the right since iOS
17, and 1 where there is none. coremltools passes PyTorch's sizes on unchanged, so a size that really is 0 is replaced
by another. group_norm of an empty batch reshapes so.
"""

import coremltools as ct
import torch
from executorch.backends.apple.coreml.compiler import CoreMLBackend
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower

TELLING = "Invalid target shape in `reshape` op ([0, 2]"


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
    defective = {
        "view (0, 2) as (0, 1, 2)": (lambda x: x.view(0, 1, 2), torch.randn(0, 2)),
        "GroupNorm of an empty batch": (torch.nn.GroupNorm(1, 2), torch.randn(0, 2)),
    }
    neighbours = {
        "view (3, 2) as (3, 1, 2)": (lambda x: x.view(3, 1, 2), torch.randn(3, 2)),
    }
    shown = []
    for name, (function, *inputs) in (defective | neighbours).items():
        error = error_of_lowering(function, *inputs)
        print(f"{name}: {error or 'lowers'}")
        if name in defective and TELLING in error:
            shown.append(name)
    print(
        f"shown: the size 0 was replaced by another ({', '.join(shown)})"
        if shown
        else "not shown: no call fails this way"
    )
    return 0 if shown else 1


if __name__ == "__main__":
    raise SystemExit(main())
