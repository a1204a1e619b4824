"""The pass add_int16_cast fails on an empty constant, in fp16 only.

With compute precision fp16 coremltools narrows int32 constants to int16 or uint16 after looking at their smallest and
largest element, which an empty array has not. roll of an empty tensor builds such a constant; with compute precision
fp32 the pass does not run and the same model lowers.
"""

import coremltools as ct
import torch
from executorch.backends.apple.coreml.compiler import CoreMLBackend
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower

TELLING = "zero-size array to reduction operation minimum"


class Call(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *inputs):
        return self.function(*inputs)


def error_of_lowering(function, *inputs) -> str:
    """The exception of lowering as text, or nothing when it lowers."""
    specs = CoreMLBackend.generate_compile_specs(
        compute_precision=ct.precision.FLOAT16, minimum_deployment_target=ct.target.iOS18
    )
    program = torch.export.export(Call(function).eval(), inputs)
    try:
        to_edge_transform_and_lower(program, partitioner=[CoreMLPartitioner(compile_specs=specs)])
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def main() -> int:
    defective = {
        "roll of an empty tensor, fp16": (lambda x: torch.roll(x, [1], [0]), torch.randn(0, 3)),
    }
    neighbours = {
        "roll of a full tensor, fp16": (lambda x: torch.roll(x, [1], [0]), torch.randn(2, 3)),
    }
    shown = []
    for name, (function, *inputs) in (defective | neighbours).items():
        error = error_of_lowering(function, *inputs)
        print(f"{name}: {error or 'lowers'}")
        if name in defective and TELLING in error:
            shown.append(name)
    print(
        f"shown: the pass takes the minimum of an empty constant ({', '.join(shown)})"
        if shown
        else "not shown: no call fails this way"
    )
    return 0 if shown else 1


if __name__ == "__main__":
    raise SystemExit(main())
