"""affine_grid does not convert, neither alone nor before grid_sample.

The converter of coremltools binds no result for affine_grid_generator: it leaves notes for grid_sampler, which is to
make one operator of the two. Whatever else takes the grid does not find it, and grid_sampler looks up its modes by
name, which in a program of torch.export are numbers.
"""

import coremltools as ct
import torch
import torch.nn.functional as F
from executorch.backends.apple.coreml.compiler import CoreMLBackend
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower

TELLING = "not found in context"


class Call(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *inputs):
        return self.function(*inputs)


def error_of_lowering(function, *inputs) -> str:
    """The exception of lowering as text, or nothing when it lowers."""
    function(*inputs)  # eager takes it
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
    theta, x = torch.randn(1, 2, 3), torch.randn(1, 1, 4, 4)

    def grid(theta):
        return F.affine_grid(theta, [1, 1, 4, 4], align_corners=False)

    defective = {
        "affine_grid": (grid, theta),
        "spatial transformer": (lambda x, theta: F.grid_sample(x, grid(theta), align_corners=False), x, theta),
    }
    neighbours = {
        "grid_sample": (lambda x, g: F.grid_sample(x, g, align_corners=False), x, torch.zeros(1, 4, 4, 2)),
    }
    shown = []
    for name, (function, *inputs) in (defective | neighbours).items():
        error = error_of_lowering(function, *inputs)
        print(f"{name}: {error or 'lowers'}")
        if name in defective and TELLING in error:
            shown.append(name)
    print(f"shown: the grid is not found ({', '.join(shown)})" if shown else "not shown: no call fails this way")
    return 0 if shown else 1


if __name__ == "__main__":
    raise SystemExit(main())
