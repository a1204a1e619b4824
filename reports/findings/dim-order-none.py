"""_clone_dim_order without a dim_order fails to lower.

Without one the copy keeps the order of the input. ExecuTorch's own converter function of the operator takes dim_order
out of the keyword arguments without asking whether there are any.
"""

import coremltools as ct
import torch
from executorch.backends.apple.coreml.compiler import CoreMLBackend
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower
from executorch.exir.passes import dim_order_ops_registry  # noqa: F401  (registers the operators)

TELLING = "'NoneType' object has no attribute 'pop'"


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
    x = torch.randn(2, 3)
    defective = {
        "dim_order=None": (lambda x: torch.ops.dim_order_ops._clone_dim_order(x, dim_order=None), x),
    }
    neighbours = {
        "dim_order=[0, 1]": (lambda x: torch.ops.dim_order_ops._clone_dim_order(x, dim_order=[0, 1]), x),
    }
    shown = []
    for name, (function, *inputs) in (defective | neighbours).items():
        error = error_of_lowering(function, *inputs)
        print(f"{name}: {error or 'lowers'}")
        if name in defective and TELLING in error:
            shown.append(name)
    print(
        f"shown: a dim_order of None is not understood ({', '.join(shown)})"
        if shown
        else "not shown: no call fails this way"
    )
    return 0 if shown else 1


if __name__ == "__main__":
    raise SystemExit(main())
