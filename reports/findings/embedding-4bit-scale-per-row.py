"""embedding_4bit with one scale for each row does not convert.

ExecuTorch's operator takes scales of shape (rows,) or (rows, groups). The converter of coremltools lays scales of rank
1 along the last axis, the width of the embedding, where their number does not fit.
"""

import coremltools as ct
import torch
from executorch.backends.apple.coreml.compiler import CoreMLBackend
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower
from executorch.exir.passes import _quant_patterns_and_replacements  # noqa: F401  (registers the operators)

TELLING = "Unable to infer scale's shape"


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
    scale = torch.full((10,), 0.1)
    weight = torch.randint(0, 256, (10, 4), dtype=torch.uint8)
    lookup = torch.ops.quantized_decomposed.embedding_4bit
    defective = {
        "scales (10,)": (lambda i: lookup(weight.clone(), scale.clone(), None, -8, 7, i), torch.tensor([0, 3])),
    }
    neighbours = {
        "scales (10, 1)": (
            lambda i: lookup(weight.clone(), scale[:, None].clone(), None, -8, 7, i),
            torch.tensor([0, 3]),
        ),
    }
    shown = []
    for name, (function, *inputs) in (defective | neighbours).items():
        error = error_of_lowering(function, *inputs)
        print(f"{name}: {error or 'lowers'}")
        if name in defective and TELLING in error:
            shown.append(name)
    print(
        f"shown: scales of the rows do not convert ({', '.join(shown)})"
        if shown
        else "not shown: no call fails this way"
    )
    return 0 if shown else 1


if __name__ == "__main__":
    raise SystemExit(main())
