"""Dynamic quantization is claimed although the converter declines it.

coremltools registers choose_qparams_per_token_asymmetric to say that Core ML has no dynamic quantization of
activations. The partitioner takes what is registered for supported, and the model does not lower.
"""

import coremltools as ct
import torch
from executorch.backends.apple.coreml.compiler import CoreMLBackend
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower
from torch.ao.quantization.fx import _decomposed  # noqa: F401  (registers the operators)

TELLING = "Dynamic activation quantization is not supported"


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
    operators = torch.ops.quantized_decomposed
    x = torch.randn(2, 3)
    defective = {
        "choose_qparams_per_token_asymmetric": (
            lambda x: operators.choose_qparams_per_token_asymmetric(x, torch.int8),
            x,
        ),
    }
    neighbours = {}
    shown = []
    for name, (function, *inputs) in (defective | neighbours).items():
        error = error_of_lowering(function, *inputs)
        print(f"{name}: {error or 'lowers'}")
        if name in defective and TELLING in error:
            shown.append(name)
    print(
        f"shown: dynamic quantization is claimed and declined ({', '.join(shown)})"
        if shown
        else "not shown: no call fails this way"
    )
    return 0 if shown else 1


if __name__ == "__main__":
    raise SystemExit(main())
