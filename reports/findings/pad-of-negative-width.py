"""pad with a negative width (a crop) is claimed although MIL takes none.

PyTorch crops where a padding is negative. MIL's pad asks for non-negative widths; coremltools' converter function
does not turn the crop into a slice, and the partitioner claims aten.pad by name.
"""

import coremltools as ct
import torch
import torch.nn.functional as F
from executorch.backends.apple.coreml.compiler import CoreMLBackend
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower

TELLING = "pad must be non-negative integer"


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
    x = torch.randn(1, 2, 4)
    defective = {
        "constant": (lambda x: F.pad(x, (-1, 1)), x),
        "replicate": (lambda x: F.pad(x, (-1, 1), mode="replicate"), x),
    }
    neighbours = {
        "constant, no crop": (lambda x: F.pad(x, (1, 1)), x),
    }
    shown = []
    for name, (function, *inputs) in (defective | neighbours).items():
        error = error_of_lowering(function, *inputs)
        print(f"{name}: {error or 'lowers'}")
        if name in defective and TELLING in error:
            shown.append(name)
    print(
        f"shown: the negative width is claimed, then declined ({', '.join(shown)})"
        if shown
        else "not shown: no call fails this way"
    )
    return 0 if shown else 1


if __name__ == "__main__":
    raise SystemExit(main())
