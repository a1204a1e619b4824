"""avg_pool2d and avg_pool3d with divisor_override are claimed although the converter declines them.

The converter functions raise for any divisor_override. The partitioner looks at the operator's name alone, so the
model fails to lower instead of leaving the operator to ExecuTorch.
"""

import coremltools as ct
import torch
import torch.nn.functional as F
from executorch.backends.apple.coreml.compiler import CoreMLBackend
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower

TELLING = "divisor_override is not supported"


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
        "avg_pool2d": (lambda x: F.avg_pool2d(x, 2, divisor_override=3), torch.randn(1, 1, 4, 4)),
        "avg_pool3d": (lambda x: F.avg_pool3d(x, 2, divisor_override=3), torch.randn(1, 1, 4, 4, 4)),
    }
    neighbours = {
        "avg_pool2d, no override": (lambda x: F.avg_pool2d(x, 2), torch.randn(1, 1, 4, 4)),
    }
    shown = []
    for name, (function, *inputs) in (defective | neighbours).items():
        error = error_of_lowering(function, *inputs)
        print(f"{name}: {error or 'lowers'}")
        if name in defective and TELLING in error:
            shown.append(name)
    print(
        f"shown: the override is claimed, then declined ({', '.join(shown)})"
        if shown
        else "not shown: no call fails this way"
    )
    return 0 if shown else 1


if __name__ == "__main__":
    raise SystemExit(main())
