"""Quantization to int32 is claimed although the converter declines it.

MIL's quantize makes int8 or uint8. The converter of coremltools says so for other dtypes; the partitioner claims
quantize_per_tensor by name.
"""

import coremltools as ct
import torch
from executorch.backends.apple.coreml.compiler import CoreMLBackend
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower
from torch.ao.quantization.fx import _decomposed  # noqa: F401  (registers the operators)

TELLING = "MIL quantization dtype must be int8 or uint8"


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
    quantize = torch.ops.quantized_decomposed.quantize_per_tensor
    x = torch.randn(2, 3)
    defective = {
        "int32": (lambda x: quantize(x, 0.1, 0, -(2**31), 2**31 - 1, torch.int32), x),
    }
    neighbours = {
        "int8": (lambda x: quantize(x, 0.1, 0, -128, 127, torch.int8), x),
    }
    shown = []
    for name, (function, *inputs) in (defective | neighbours).items():
        error = error_of_lowering(function, *inputs)
        print(f"{name}: {error or 'lowers'}")
        if name in defective and TELLING in error:
            shown.append(name)
    print(
        f"shown: quantization to int32 is claimed and declined ({', '.join(shown)})"
        if shown
        else "not shown: no call fails this way"
    )
    return 0 if shown else 1


if __name__ == "__main__":
    raise SystemExit(main())
