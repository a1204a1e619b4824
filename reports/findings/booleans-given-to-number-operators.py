"""Boolean tensors reach MIL operators that take numbers only.

MIL's gather_along_axis and real_div are declared for floats and integers. The converter hands booleans on as they
come, and the partitioner, which asks for names only, has claimed the operator.
"""

import coremltools as ct
import torch
from executorch.backends.apple.coreml.compiler import CoreMLBackend
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower

TELLING = "bool]"
WHAT = "a boolean tensor is handed to an operator for numbers"
DEFECTIVE = {
    "fold": (lambda x: torch.ops.aten.col2im(x, [4, 6], [2, 3], [1, 1], [0, 0], [2, 3]), torch.ones(1, 12, 4) > 0),
    "true_divide": (lambda x, y: torch.ops.aten.true_divide(x, y), torch.ones(3) > 0, torch.ones(3) > 0),
}
NEIGHBOURS = {
    "fold of floats": (
        lambda x: torch.ops.aten.col2im(x, [4, 6], [2, 3], [1, 1], [0, 0], [2, 3]),
        torch.ones(1, 12, 4),
    ),
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
