"""ConvTranspose3d with output_padding does not convert.

Where output_padding exceeds padding, coremltools pads the input by a list whose length it computes from the rank of
the input: 2 * (rank - 2) zeros before the widths. That is right for two spatial dimensions only; for three the list
is longer than the input has dimensions, and MIL's pad declines it.
"""

import coremltools as ct
import torch
from executorch.backends.apple.coreml.compiler import CoreMLBackend
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower

TELLING = "Number of dimensions specified through pad must less than or equal to rank"


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
        "three dimensions": (
            torch.nn.ConvTranspose3d(2, 4, 3, stride=3, padding=1, output_padding=2),
            torch.randn(1, 2, 4, 4, 4),
        ),
    }
    neighbours = {
        "two dimensions": (
            torch.nn.ConvTranspose2d(2, 4, 3, stride=3, padding=1, output_padding=2),
            torch.randn(1, 2, 4, 4),
        ),
        "no output_padding": (torch.nn.ConvTranspose3d(2, 4, 3, stride=3, padding=1), torch.randn(1, 2, 4, 4, 4)),
    }
    shown = []
    for name, (function, *inputs) in (defective | neighbours).items():
        error = error_of_lowering(function, *inputs)
        print(f"{name}: {error or 'lowers'}")
        if name in defective and TELLING in error:
            shown.append(name)
    print(
        f"shown: the list of widths is too long ({', '.join(shown)})" if shown else "not shown: no call fails this way"
    )
    return 0 if shown else 1


if __name__ == "__main__":
    raise SystemExit(main())
