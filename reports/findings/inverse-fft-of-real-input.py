"""ifft, ifftn, irfft and irfftn of a real tensor do not convert.

PyTorch promotes a real input of an inverse Fourier transform to complex. coremltools' converter functions hand it on
as it is to complex_ifft and the like, which take complex64 only.
"""

import coremltools as ct
import torch
from executorch.backends.apple.coreml.compiler import CoreMLBackend
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower

TELLING = "from type domain ['complex64'] but got tensor[8,fp32]"


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
        "ifft": (lambda x: torch.fft.ifft(x, 8, -1, "ortho").real, x),
        "irfft": (lambda x: torch.fft.irfft(x, 8, -1, "ortho"), x),
    }
    shown = []
    for name, (function, *inputs) in defective.items():
        error = error_of_lowering(function, *inputs)
        print(f"{name}: {error or 'lowers'}")
        if name in defective and TELLING in error:
            shown.append(name)
    print(
        f"shown: the real input is not promoted ({', '.join(shown)})" if shown else "not shown: no call fails this way"
    )
    return 0 if shown else 1


if __name__ == "__main__":
    raise SystemExit(main())
