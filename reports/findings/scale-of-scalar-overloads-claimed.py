"""rsub and add of a number with an alpha are claimed although the converter declines alpha.

The partitioner keeps add.Tensor and sub.Tensor with an alpha from Core ML, because coremltools does not take it. The
overloads with a number, which have alpha by position, pass by that rule and fail to lower.
"""

import coremltools as ct
import torch
from executorch.backends.apple.coreml.compiler import CoreMLBackend
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower

TELLING = "does not support scale factor param"


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
    x = torch.randn(3)
    defective = {
        "rsub(x, 1.0, alpha=2)": (lambda x: torch.rsub(x, 1.0, alpha=2), x),
        "aten.add.Scalar": (lambda x: torch.ops.aten.add.Scalar(x, 1.0, 2), x),
    }
    neighbours = {
        "sub(x, x, alpha=2)": (lambda x: torch.sub(x, x, alpha=2), x),
        "rsub(x, 1.0)": (lambda x: torch.rsub(x, 1.0), x),
    }
    shown = []
    for name, (function, *inputs) in (defective | neighbours).items():
        error = error_of_lowering(function, *inputs)
        print(f"{name}: {error or 'lowers'}")
        if name in defective and TELLING in error:
            shown.append(name)
    print(
        f"shown: a number with an alpha is claimed and declined ({', '.join(shown)})"
        if shown
        else "not shown: no call fails this way"
    )
    return 0 if shown else 1


if __name__ == "__main__":
    raise SystemExit(main())
