"""torch.nn.functional.fold of overlapping blocks is claimed although the converter declines it.

coremltools converts col2im to a gather, which cannot add where blocks overlap, and says so, also for dilation. An input
without batch dimension fails to unpack. The partitioner claims the operator by name, and the whole model fails.
"""

import coremltools as ct
import torch
import torch.nn.functional as F
from executorch.backends.apple.coreml.compiler import CoreMLBackend
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower

TELLING = "ValueError: "


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
    x = torch.randn(1, 4, 9)
    defective = {
        "stride 1": (lambda x: F.fold(x, (4, 4), (2, 2)), x),
        "dilation 2": (lambda x: F.fold(x, (5, 5), (2, 2), stride=2, dilation=2), x[..., :4]),
        "no batch": (lambda x: F.fold(x, (4, 4), (2, 2), stride=2), x[0, :, :4]),
    }
    neighbours = {
        "stride of the kernel size": (lambda x: F.fold(x, (4, 4), (2, 2), stride=2), x[..., :4]),
    }
    shown = []
    for name, (function, *inputs) in (defective | neighbours).items():
        error = error_of_lowering(function, *inputs)
        print(f"{name}: {error or 'lowers'}")
        if name in defective and TELLING in error:
            shown.append(name)
    print(f"shown: fold is claimed and declined ({', '.join(shown)})" if shown else "not shown: no call fails this way")
    return 0 if shown else 1


if __name__ == "__main__":
    raise SystemExit(main())
