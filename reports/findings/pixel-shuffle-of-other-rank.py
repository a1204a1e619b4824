"""pixel_shuffle and pixel_unshuffle convert for rank 4 only.

PyTorch takes any number of leading dimensions, none included. MIL's operators unpack four sizes, and the converter of
coremltools adds no dimension and joins none.
"""

import coremltools as ct
import torch
import torch.nn.functional as F
from executorch.backends.apple.coreml.compiler import CoreMLBackend
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower

TELLING = "values to unpack (expected 4"


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
    x = torch.randn(1, 4, 4, 4)
    defective = {
        "pixel_shuffle of rank 3": (lambda x: F.pixel_shuffle(x, 2), x[0]),
        "pixel_unshuffle of rank 5": (lambda x: F.pixel_unshuffle(x, 2), x[None]),
    }
    neighbours = {
        "pixel_shuffle of rank 4": (lambda x: F.pixel_shuffle(x, 2), x),
    }
    shown = []
    for name, (function, *inputs) in (defective | neighbours).items():
        error = error_of_lowering(function, *inputs)
        print(f"{name}: {error or 'lowers'}")
        if name in defective and TELLING in error:
            shown.append(name)
    print(
        f"shown: another rank than 4 does not unpack ({', '.join(shown)})"
        if shown
        else "not shown: no call fails this way"
    )
    return 0 if shown else 1


if __name__ == "__main__":
    raise SystemExit(main())
