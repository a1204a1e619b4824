"""layer_norm, instance_norm, prelu and stft are claimed although their weight or window is no constant.

MIL's layer_norm and instance_norm take gamma and beta, its prelu alpha, and coremltools' complex_stft the window,
only as constants. The partitioner looks at the operator's name alone, so a weight that is an input (or is computed)
makes the whole model fail to lower.
"""

import coremltools as ct
import torch
import torch.nn.functional as F
from executorch.backends.apple.coreml.compiler import CoreMLBackend
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower

TELLING = ("must be const at compile time", "op_type: prelu) Input alpha=", "'float' and 'NoneType'")


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
    w = torch.randn(4)
    defective = {
        "layer_norm, weight an input": (lambda x, w: F.layer_norm(x, (4,), w), torch.randn(2, 4), w),
        "instance_norm, weight an input": (lambda x, w: F.instance_norm(x, weight=w, bias=w), torch.randn(2, 4, 5), w),
        "stft, window an input": (lambda x, w: torch.stft(x, 4, window=w, return_complex=True), torch.randn(2, 100), w),
        "prelu of rank 1, weight an input": (F.prelu, torch.randn(3), w[0]),
        "prelu of rank 3, weight an input": (F.prelu, torch.randn(2, 4, 3), w),
        "prelu without channels, weight an input": (F.prelu, torch.randn(1, 0, 3), w[0]),
    }
    neighbours = {
        "LayerNorm module": (torch.nn.LayerNorm(4), torch.randn(2, 4)),
    }
    shown = []
    for name, (function, *inputs) in (defective | neighbours).items():
        error = error_of_lowering(function, *inputs)
        print(f"{name}: {error or 'lowers'}")
        if name in defective and any(words in error for words in TELLING):
            shown.append(name)
    print(
        f"shown: the operator is claimed, then conversion asks for a constant ({', '.join(shown)})"
        if shown
        else "not shown: no call fails this way"
    )
    return 0 if shown else 1


if __name__ == "__main__":
    raise SystemExit(main())
