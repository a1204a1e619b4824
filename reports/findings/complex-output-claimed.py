"""Operators whose result is complex are claimed although Core ML has no complex outputs.

coremltools can lower fft and stft when the complex value stays inside the program, and says clearly that it cannot be
an output. The partitioner claims these operators by name, also where the complex value leaves the partition, so the
model fails to lower.
"""

import coremltools as ct
import torch
from executorch.backends.apple.coreml.compiler import CoreMLBackend
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower

TELLING = "MIL doesn't support complex data as model's output"


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
    x = torch.randn(8)
    defective = {
        "fft": (lambda x: torch.fft.fft(x, 8, -1, "ortho"), x),
        "stft": (lambda x: torch.stft(x, 4, window=torch.ones(4), return_complex=True), x),
    }
    shown = []
    for name, (function, *inputs) in defective.items():
        error = error_of_lowering(function, *inputs)
        print(f"{name}: {error or 'lowers'}")
        if name in defective and TELLING in error:
            shown.append(name)
    print(
        f"shown: the operator is claimed, then conversion declines its complex output ({', '.join(shown)})"
        if shown
        else "not shown: no call fails this way"
    )
    return 0 if shown else 1


if __name__ == "__main__":
    raise SystemExit(main())
