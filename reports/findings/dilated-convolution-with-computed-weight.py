"""A dilated convolution is claimed although its weight is no constant.

MIL's conv declines dilations above 1 where the weight is computed or an input. The partitioner claims the convolution
by name, so the model fails to lower.
"""

import coremltools as ct
import torch
import torch.nn.functional as F
from executorch.backends.apple.coreml.compiler import CoreMLBackend
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower

TELLING = "Convolution with dynamic weights does not support dilations"


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
    x, w = torch.randn(1, 2, 8), torch.randn(3, 2, 3)
    defective = {
        "dilation 2, weight an input": (lambda x, w: F.conv1d(x, w, dilation=2), x, w),
    }
    neighbours = {
        "dilation 1, weight an input": (F.conv1d, x, w),
        "dilation 2, weight a constant": (torch.nn.Conv1d(2, 3, 3, dilation=2), x),
    }
    shown = []
    for name, (function, *inputs) in (defective | neighbours).items():
        error = error_of_lowering(function, *inputs)
        print(f"{name}: {error or 'lowers'}")
        if name in defective and TELLING in error:
            shown.append(name)
    print(
        f"shown: the convolution is claimed, then declined ({', '.join(shown)})"
        if shown
        else "not shown: no call fails this way"
    )
    return 0 if shown else 1


if __name__ == "__main__":
    raise SystemExit(main())
