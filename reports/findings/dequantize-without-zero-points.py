"""quantized_decomposed.dequantize_per_channel without zero points does not convert.

zero_points is optional in the operator's schema, and absent for symmetric quantization. The converter of coremltools
compares its dtype with the data's before it asks whether there is one.
"""

import coremltools as ct
import torch
import torch.ao.quantization.fx._decomposed  # registers the operators
from executorch.backends.apple.coreml.compiler import CoreMLBackend
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower

TELLING = "'NoneType' object has no attribute 'dtype'"


class Dequantized(torch.nn.Module):
    def __init__(self, zero_points):
        super().__init__()
        self.zero_points = zero_points
        self.register_buffer("weight", torch.ones(2, 3, dtype=torch.int8))
        self.register_buffer("scales", torch.tensor([0.5, 0.25]))

    def forward(self, x):
        dequantize = torch.ops.quantized_decomposed.dequantize_per_channel.default
        return x + dequantize(self.weight, self.scales, self.zero_points, 0, -128, 127, torch.int8)


def error_of_lowering(module) -> str:
    """The exception of lowering as text, or nothing when it lowers."""
    specs = CoreMLBackend.generate_compile_specs(
        compute_precision=ct.precision.FLOAT32, minimum_deployment_target=ct.target.iOS18
    )
    program = torch.export.export(module.eval(), (torch.randn(2, 3),))
    try:
        to_edge_transform_and_lower(program, partitioner=[CoreMLPartitioner(compile_specs=specs)])
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def main() -> int:
    error = error_of_lowering(Dequantized(None))
    print(f"without zero points: {error or 'lowers'}")
    print(f"with zero points: {error_of_lowering(Dequantized(torch.tensor([0, 0]))) or 'lowers'}")
    if TELLING in error:
        print("shown: the dtype of absent zero points is asked for")
        return 0
    print("not shown: it lowers, or fails in another way")
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
