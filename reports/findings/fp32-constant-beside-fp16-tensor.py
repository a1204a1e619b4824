"""Constants of the converter stay fp32 beside fp16 tensors.

An epsilon, a padding value or a factor that the converter of coremltools writes as a Python float becomes an fp32
constant. MIL wants one dtype, so that these operators fail to lower for a model in half precision, and lower in fp32.
"""

import coremltools as ct
import torch
import torch.nn.functional as F
from executorch.backends.apple.coreml.compiler import CoreMLBackend
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower

TELLING = "has dtype fp32 whereas"


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
    x, weight = torch.randn(1, 3, 4, 4).half(), torch.ones(4).half()
    mean, variance = torch.zeros(3).half(), torch.ones(3).half()
    defective = {
        "batch_norm": (F.batch_norm, x, mean, variance),
        "layer_norm with a weight": (lambda x: F.layer_norm(x, (4,), weight.clone()), x),
        "group_norm": (lambda x: F.group_norm(x, 3), x),
        "selu": (F.selu, x),
        "grid_sample": (lambda x, g: F.grid_sample(x, g, align_corners=False), x, torch.zeros(1, 2, 2, 2).half()),
    }
    neighbours = {
        "selu of fp32": (F.selu, x.float()),
        "leaky_relu": (F.leaky_relu, x),
        "x * 2.5": (lambda x: x * 2.5, x),
    }
    shown = []
    for name, (function, *inputs) in (defective | neighbours).items():
        error = error_of_lowering(function, *inputs)
        print(f"{name}: {error or 'lowers'}")
        if name in defective and TELLING in error:
            shown.append(name)
    print(
        f"shown: fp32 constants meet fp16 tensors ({', '.join(shown)})"
        if shown
        else "not shown: no call fails this way"
    )
    return 0 if shown else 1


if __name__ == "__main__":
    raise SystemExit(main())
