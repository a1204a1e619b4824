"""view(()) of a one-element tensor keeps its dimensions, and later operators fail on them.

coremltools' function for view makes a reshape to the empty shape an identity, also for an input of shape (1, 1). The
program then has more dimensions than the graph: ExecuTorch's _to_dim_order_copy compares its empty dim order with the
two dimensions that are still there.
"""

import coremltools as ct
import torch
from executorch.backends.apple.coreml.compiler import CoreMLBackend
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower

TELLING = "operands could not be broadcast together with shapes (0,) (2,)"


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
    x = torch.randn(3, 3)
    defective = {
        "(1, 1) viewed as (), then to int": (lambda x: x.sum((0, 1), keepdim=True).view(()).to(torch.int32), x),
    }
    neighbours = {
        "(1, 1) squeezed, then to int": (lambda x: x.sum((0, 1), keepdim=True).squeeze().to(torch.int32), x),
    }
    shown = []
    for name, (function, *inputs) in (defective | neighbours).items():
        error = error_of_lowering(function, *inputs)
        print(f"{name}: {error or 'lowers'}")
        if name in defective and TELLING in error:
            shown.append(name)
    print(
        f"shown: the value has two dimensions where the graph says none ({', '.join(shown)})"
        if shown
        else "not shown: no call fails this way"
    )
    return 0 if shown else 1


if __name__ == "__main__":
    raise SystemExit(main())
