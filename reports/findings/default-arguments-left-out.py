"""Operators called with their default arguments do not convert: 'got N input(s), expected [M]'.

torch.export leaves out trailing arguments that have their default value, and passes keyword-only ones by name. These
converter functions of coremltools still ask for the full positional list of TorchScript.
"""

import coremltools as ct
import torch
import torch.nn.functional as F
from executorch.backends.apple.coreml.compiler import CoreMLBackend
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower

TELLING = ("input(s), expected [", "input(s), expected minimum")


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
    x = torch.randn(3, 3)
    defective = {
        "mse_loss": (F.mse_loss, x, x),
        "cosine_similarity": (F.cosine_similarity, x, x),
        "rms_norm": (lambda x: F.rms_norm(x, (3,)), x),
        "roll": (lambda x: torch.roll(x, 1), x),
        "linalg.cross": (torch.cross, x, x),
        "irfft": (torch.fft.irfft, x),
        "max_pool1d": (lambda x: F.max_pool1d(x, 2), x[None]),
        "matrix norm": (lambda x: torch.ops.aten.linalg_matrix_norm(x, float("inf")), x),
    }
    neighbours = {
        "mse_loss, reduction=sum": (lambda x, y: F.mse_loss(x, y, reduction="sum"), x, x),
        "max_pool1d, stride=2": (lambda x: F.max_pool1d(x, 2, 2), x[None]),
        "roll, dims=0": (lambda x: torch.roll(x, 1, 0), x),
    }
    shown = []
    for name, (function, *inputs) in (defective | neighbours).items():
        error = error_of_lowering(function, *inputs)
        print(f"{name}: {error or 'lowers'}")
        if name in defective and any(words in error for words in TELLING):
            shown.append(name)
    print(
        f"shown: the converter refuses calls whose defaults are left out ({', '.join(shown)})"
        if shown
        else "not shown: no call fails this way"
    )
    return 0 if shown else 1


if __name__ == "__main__":
    raise SystemExit(main())
