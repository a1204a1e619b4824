"""torchao's dequantize_affine of other ranges or blocks is claimed although the converter declines it.

ExecuTorch's converter function of the operator takes the ranges of int4 and int8 and blocks within a row, and
raises for the rest. The partitioner asks for the name alone, so that the whole model fails to lower.
"""

import coremltools as ct
import torch
from executorch.backends.apple.coreml.compiler import CoreMLBackend
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower
from executorch.export import recipe  # noqa: F401  (its imports register the operators of torchao)

TELLING = ("Unsupported quantization range", "block_size[0] must be 1")


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
    data = torch.randint(-2, 2, (2, 4), dtype=torch.int8)
    dequantize = torch.ops.torchao.dequantize_affine

    def weight(block, scale, low, high):
        return lambda x: x @ dequantize(data.clone(), block, scale.clone(), None, torch.int8, low, high)

    x, rows = torch.randn(3, 2), torch.full((2, 1), 0.1)
    defective = {
        "range of 2 bits": (weight([1, 4], rows, -2, 1), x),
        "blocks of two rows": (weight([2, 2], torch.full((1, 2), 0.1), -128, 127), x),
    }
    neighbours = {
        "range of 8 bits": (weight([1, 4], rows, -128, 127), x),
    }
    shown = []
    for name, (function, *inputs) in (defective | neighbours).items():
        error = error_of_lowering(function, *inputs)
        print(f"{name}: {error or 'lowers'}")
        if name in defective and any(words in error for words in TELLING):
            shown.append(name)
    print(
        f"shown: dequantization is claimed and declined ({', '.join(shown)})"
        if shown
        else "not shown: no call fails this way"
    )
    return 0 if shown else 1


if __name__ == "__main__":
    raise SystemExit(main())
