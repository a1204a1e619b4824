"""aten._convolution_mode fails to convert: the converter asks a str for its value.

The operator is a convolution with padding="same" or "valid". From torch.export text arrives as a str in coremltools,
not as a constant with a value. conv1d.padding, which torch.nn.functional uses, converts.
"""

import coremltools as ct
import torch
import torch.nn.functional as F
from executorch.backends.apple.coreml.compiler import CoreMLBackend
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower

TELLING = "'str' object has no attribute 'val'"


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
    x, weight = torch.randn(1, 4, 8), torch.randn(2, 4, 3)
    defective = {
        "_convolution_mode": (
            lambda x, w: torch.ops.aten._convolution_mode(x, w, None, [1], "same", [1], 1),
            x,
            weight,
        ),
    }
    neighbours = {
        "conv1d, padding=same": (lambda x, w: F.conv1d(x, w, padding="same"), x, weight),
    }
    shown = []
    for name, (function, *inputs) in (defective | neighbours).items():
        error = error_of_lowering(function, *inputs)
        print(f"{name}: {error or 'lowers'}")
        if name in defective and TELLING in error:
            shown.append(name)
    print(
        f"shown: the value of a text is asked for ({', '.join(shown)})"
        if shown
        else "not shown: no call fails this way"
    )
    return 0 if shown else 1


if __name__ == "__main__":
    raise SystemExit(main())
