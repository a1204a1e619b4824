"""avg_pool3d with ceil_mode is claimed although the converter declines it.

Where ceil_mode adds to the output, the converter would have to pad, and padding counts unless count_include_pad is
False. It declines this default; the partitioner claims the operator by name.
"""

import coremltools as ct
import torch
import torch.nn.functional as F
from executorch.backends.apple.coreml.compiler import CoreMLBackend
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower

TELLING = "pool3D with ceil mode=True and include_pad=True not supported"


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
    x = torch.randn(1, 1, 5, 5, 5)
    defective = {
        "ceil_mode": (lambda x: F.avg_pool3d(x, 2, ceil_mode=True), x),
    }
    neighbours = {
        "without ceil_mode": (lambda x: F.avg_pool3d(x, 2), x),
        "ceil_mode, padding not counted": (lambda x: F.avg_pool3d(x, 2, ceil_mode=True, count_include_pad=False), x),
    }
    shown = []
    for name, (function, *inputs) in (defective | neighbours).items():
        error = error_of_lowering(function, *inputs)
        print(f"{name}: {error or 'lowers'}")
        if name in defective and TELLING in error:
            shown.append(name)
    print(
        f"shown: avg_pool3d with ceil_mode is claimed and declined ({', '.join(shown)})"
        if shown
        else "not shown: no call fails this way"
    )
    return 0 if shown else 1


if __name__ == "__main__":
    raise SystemExit(main())
