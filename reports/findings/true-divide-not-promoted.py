"""true_divide of a float tensor by a Python int does not convert.

torch.true_divide is torch.div by another name, which torch.export keeps. The converter of coremltools has a function of
its own for it, and that one hands the operands to MIL's real_div without promoting them to one dtype.
"""

import coremltools as ct
import torch
from executorch.backends.apple.coreml.compiler import CoreMLBackend
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower

TELLING = "of type real_div"


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
    x = torch.randn(3)
    defective = {
        "true_divide(x, 2)": (lambda x: torch.true_divide(x, 2), x),
        "true_divide of integers by a float": (lambda x: torch.true_divide(x, 2.0), x.int()),
    }
    neighbours = {
        "div(x, 2)": (lambda x: torch.div(x, 2), x),
        "true_divide(x, 2.0)": (lambda x: torch.true_divide(x, 2.0), x),
    }
    shown = []
    for name, (function, *inputs) in (defective | neighbours).items():
        error = error_of_lowering(function, *inputs)
        print(f"{name}: {error or 'lowers'}")
        if name in defective and TELLING in error:
            shown.append(name)
    print(
        f"shown: operands of two dtypes are declined ({', '.join(shown)})"
        if shown
        else "not shown: no call fails this way"
    )
    return 0 if shown else 1


if __name__ == "__main__":
    raise SystemExit(main())
