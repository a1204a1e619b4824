"""x[:, indices] = values with more than one index does not convert.

Where an index is a whole slice, coremltools' index_put builds one tensor assignment from a begin and an end per
dimension, which has room for a single index; a vector of indices is squeezed and put there all the same. index_copy
and index_fill on an inner dimension decompose to this call.
"""

import coremltools as ct
import torch
from executorch.backends.apple.coreml.compiler import CoreMLBackend
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower

TELLING = "has rank 1 != other inputs rank 0"


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
    x = torch.randn(5, 5)
    copy = lambda x, index, values: x.index_copy(1, index, values)  # noqa: E731
    defective = {
        "index_copy of three columns": (copy, x, torch.arange(3), torch.randn(5, 3)),
    }
    neighbours = {
        "index_copy of one column": (copy, x, torch.tensor([1]), torch.randn(5, 1)),
    }
    shown = []
    for name, (function, *inputs) in (defective | neighbours).items():
        error = error_of_lowering(function, *inputs)
        print(f"{name}: {error or 'lowers'}")
        if name in defective and TELLING in error:
            shown.append(name)
    print(
        f"shown: a vector of indices is put where one belongs ({', '.join(shown)})"
        if shown
        else "not shown: no call fails this way"
    )
    return 0 if shown else 1


if __name__ == "__main__":
    raise SystemExit(main())
