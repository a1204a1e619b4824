"""fold with a stride above the kernel size does not convert.

The blocks then leave gaps, which hold zeros. coremltools inverts the indices of unfold in a list as long as the
blocks, not as the image, so that positions beyond its end are written to.
"""

import coremltools as ct
import torch
import torch.nn.functional as F
from executorch.backends.apple.coreml.compiler import CoreMLBackend
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower

TELLING = "IndexError: index"
WHAT = "the indices are those of a larger image"
DEFECTIVE = {
    "kernel 1 x 1, stride 2 x 3": (lambda x: F.fold(x, (4, 6), (1, 1), stride=(2, 3)), torch.randn(1, 12, 4)),
}
NEIGHBOURS = {
    "kernel 2 x 3, stride 2 x 3": (lambda x: F.fold(x, (4, 6), (2, 3), stride=(2, 3)), torch.randn(1, 12, 4)),
}


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
    shown = []
    for name, (function, *inputs) in (DEFECTIVE | NEIGHBOURS).items():
        error = error_of_lowering(function, *inputs)
        print(f"{name}: {error or 'lowers'}")
        if name in DEFECTIVE and TELLING in error:
            shown.append(name)
    print(f"shown: {WHAT} ({', '.join(shown)})" if shown else "not shown: no call fails this way")
    return 0 if shown else 1


if __name__ == "__main__":
    raise SystemExit(main())
