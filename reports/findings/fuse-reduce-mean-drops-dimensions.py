"""The pass fuse_reduce_mean fails where the divisor of a sum has more dimensions than the sum.

A sum divided by its count becomes MIL's reduce_mean. The pass compares the value of the divisor and not its shape:
dividing a sum of shape () by a constant of shape (1,) gives shape (1,), reduce_mean gives (), and putting the one in
place of the other raises.
"""

import coremltools as ct
import torch
from executorch.backends.apple.coreml.compiler import CoreMLBackend
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower

TELLING = "doesn't have compatible subtype of existing var"


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
    x = torch.rand(3)
    defective = {
        "sqrt(sum / tensor([3.]))": (lambda x: torch.sqrt(x.sum(0) / torch.tensor([3.0])), x),
        "sqrt(sum * tensor([[1/3]]))": (lambda x: torch.sqrt(x.sum(0) * torch.tensor([[1 / 3]])), x),
    }
    neighbours = {
        "sqrt(sum / tensor(3.))": (lambda x: torch.sqrt(x.sum(0) / torch.tensor(3.0)), x),
        "sqrt(sum / tensor([4.])), no mean": (lambda x: torch.sqrt(x.sum(0) / torch.tensor([4.0])), x),
    }
    shown = []
    for name, (function, *inputs) in (defective | neighbours).items():
        error = error_of_lowering(function, *inputs)
        print(f"{name}: {error or 'lowers'}")
        if name in defective and TELLING in error:
            shown.append(name)
    print(
        f"shown: the mean has other dimensions than the quotient it replaces ({', '.join(shown)})"
        if shown
        else "not shown: no call fails this way"
    )
    return 0 if shown else 1


if __name__ == "__main__":
    raise SystemExit(main())
