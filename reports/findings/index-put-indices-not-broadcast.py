"""index_put with indices of different shapes does not convert.

PyTorch broadcasts the index tensors against each other. coremltools' function for index broadcasts them, the one for
index_put stacks them as they are.
"""

import coremltools as ct
import torch
from executorch.backends.apple.coreml.compiler import CoreMLBackend
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower

TELLING = "Component tensor"


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
    x, rows, columns = torch.randn(5, 5), torch.arange(3), torch.arange(4)
    put = lambda x, i, j, values: x.index_put((i, j), values)  # noqa: E731
    defective = {
        "rows (3, 1), columns (1, 4)": (put, x, rows[:, None], columns[None], torch.randn(3, 4)),
    }
    neighbours = {
        "rows (3,), columns (3,)": (put, x, rows, columns[:3], torch.randn(3)),
    }
    shown = []
    for name, (function, *inputs) in (defective | neighbours).items():
        error = error_of_lowering(function, *inputs)
        print(f"{name}: {error or 'lowers'}")
        if name in defective and TELLING in error:
            shown.append(name)
    print(
        f"shown: the indices are stacked without broadcasting ({', '.join(shown)})"
        if shown
        else "not shown: no call fails this way"
    )
    return 0 if shown else 1


if __name__ == "__main__":
    raise SystemExit(main())
