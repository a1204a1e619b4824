"""A Python number given to an operator is not brought to the dtype of its tensor.

In PyTorch elu(x, 2) and elu(x, 2.0) are the same. coremltools makes an int32 constant of the one and an fp32 constant
of the other; these functions of its converter pass it on without promotion, and MIL wants the dtype of the tensor.
"""

import coremltools as ct
import torch
import torch.nn.functional as F
from executorch.backends.apple.coreml.compiler import CoreMLBackend
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower

TELLING = "ValueError: "


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
    x, ones = torch.randn(2, 2), torch.ones(2, 2, dtype=torch.int64)
    defective = {
        "elu(x, 2)": (lambda x: F.elu(x, 2), x),
        "hardtanh(x, -2, 2)": (lambda x: F.hardtanh(x, -2, 2), x),
        "threshold(x, True, 0.0)": (lambda x: F.threshold(x, True, 0.0), x),
        "addmm, beta=2": (lambda x: torch.addmm(x, x, x, beta=2), x),
        "baddbmm, alpha=2": (lambda x: torch.baddbmm(x, x, x, alpha=2), x[None]),
        "scatter of 1": (lambda x, i: torch.scatter(x, 0, i, 1), x, ones),
        "hardtanh of integers": (F.hardtanh, ones),
        "hardtanh of fp16": (F.hardtanh, x.half()),
        "nan_to_num of integers": (torch.nan_to_num, ones),
    }
    neighbours = {
        "elu(x, 2.0)": (lambda x: F.elu(x, 2.0), x),
        "addmm, beta=2.0": (lambda x: torch.addmm(x, x, x, beta=2.0), x),
        "baddbmm, beta=2": (lambda x: torch.baddbmm(x, x, x, beta=2), x[None]),
    }
    shown = []
    for name, (function, *inputs) in (defective | neighbours).items():
        error = error_of_lowering(function, *inputs)
        print(f"{name}: {error or 'lowers'}")
        if name in defective and TELLING in error:
            shown.append(name)
    print(
        f"shown: numbers keep a dtype that MIL declines ({', '.join(shown)})"
        if shown
        else "not shown: no call fails this way"
    )
    return 0 if shown else 1


if __name__ == "__main__":
    raise SystemExit(main())
