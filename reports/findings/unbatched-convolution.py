"""Convolutions of an input without batch dimension do not convert.

torch.nn.Conv1d to Conv3d take (C, *spatial). The Core ML partitioner keeps conv1d, conv2d and conv3d from being
decomposed (PyTorch's own decomposition would add the batch dimension), and coremltools hands the input to MIL's conv,
which reads dimension 0 as batch and dimension 1 as channels.
"""

import coremltools as ct
import torch
from executorch.backends.apple.coreml.compiler import CoreMLBackend
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower

TELLING = ("C_in / groups", "op_type: conv) Input")


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
        "Conv1d": (torch.nn.Conv1d(2, 3, 3), torch.randn(2, 5)),
        "Conv2d": (torch.nn.Conv2d(2, 3, 3), torch.randn(2, 5, 5)),
        "Conv3d": (torch.nn.Conv3d(2, 3, 3), torch.randn(2, 5, 5, 5)),
    }
    neighbours = {
        "Conv2d of a batch": (torch.nn.Conv2d(2, 3, 3), torch.randn(1, 2, 5, 5)),
    }
    shown = []
    for name, (function, *inputs) in (defective | neighbours).items():
        error = error_of_lowering(function, *inputs)
        print(f"{name}: {error or 'lowers'}")
        if name in defective and any(words in error for words in TELLING):
            shown.append(name)
    print(
        f"shown: the first spatial dimension is taken for the channels ({', '.join(shown)})"
        if shown
        else "not shown: no call fails this way"
    )
    return 0 if shown else 1


if __name__ == "__main__":
    raise SystemExit(main())
