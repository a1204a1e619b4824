"""clamp by a constant tensor of several elements does not convert.

coremltools' converter function compares the two bounds with Python's `if min >= max` as soon as both are constants.
For a tensor bound the comparison gives an array, whose truth value NumPy refuses.
"""

import coremltools as ct
import torch
from executorch.backends.apple.coreml.compiler import CoreMLBackend
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower

TELLING = "The truth value of an array with more than one element is ambiguous"


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
    x = torch.randn(2)
    defective = {
        "clamp(min=tensor of two)": (lambda x: torch.clamp(x, torch.tensor([0.1, 0.2])), x),
    }
    neighbours = {
        "clamp(min=0.1)": (lambda x: torch.clamp(x, 0.1), x),
        "clamp(min=input)": (torch.clamp, x, x),
    }
    shown = []
    for name, (function, *inputs) in (defective | neighbours).items():
        error = error_of_lowering(function, *inputs)
        print(f"{name}: {error or 'lowers'}")
        if name in defective and TELLING in error:
            shown.append(name)
    print(
        f"shown: an array is used as a condition ({', '.join(shown)})" if shown else "not shown: no call fails this way"
    )
    return 0 if shown else 1


if __name__ == "__main__":
    raise SystemExit(main())
