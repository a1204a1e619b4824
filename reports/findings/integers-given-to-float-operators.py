"""Operators given integers fail to convert where MIL's operator takes floats only.

PyTorch promotes the argument of exp, sqrt, sigmoid and their like to float and computes relu, pooling and rounding of
integers as integers. The converter of coremltools hands x on as it comes, without a cast, and MIL's type check refuses
it. log, which casts, and a cast in the model lower.
"""

import coremltools as ct
import torch
import torch.nn.functional as F
from executorch.backends.apple.coreml.compiler import CoreMLBackend
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower

TELLING = "from type domain ['fp16', 'fp32'] but got tensor["


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
    x = torch.tensor([[[1, 2, 3]]], dtype=torch.int32)
    defective = {
        "exp": (torch.exp, x),
        "sigmoid of bool": (torch.sigmoid, x.bool()),
        "relu": (torch.relu, x),
        "round": (torch.round, x),
        "max_pool2d": (lambda x: F.max_pool2d(x, (1, 2), 1), x),
        "conv1d": (F.conv1d, x, x),
    }
    neighbours = {
        "log": (torch.log, x),
        "exp after a cast": (lambda x: torch.exp(x.float()), x),
    }
    shown = []
    for name, (function, *inputs) in (defective | neighbours).items():
        error = error_of_lowering(function, *inputs)
        print(f"{name}: {error or 'lowers'}")
        if name in defective and TELLING in error:
            shown.append(name)
    print(
        f"shown: integer tensors reach MIL operators of floats ({', '.join(shown)})"
        if shown
        else "not shown: no call fails this way"
    )
    return 0 if shown else 1


if __name__ == "__main__":
    raise SystemExit(main())
