"""ConvTranspose with output_padding and no padding does not convert, with an error that says nothing.

coremltools means to decline this configuration in words. Before it does, it sums the padding, which is None where
every width is 0.
"""

import coremltools as ct
import torch
from executorch.backends.apple.coreml.compiler import CoreMLBackend
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower

TELLING = "'NoneType' object is not iterable"
WHAT = "the padding is None where it is summed"
DEFECTIVE = {
    "output_padding, padding 0": (
        torch.nn.ConvTranspose2d(2, 4, 3, stride=2, output_padding=1),
        torch.randn(1, 2, 4, 4),
    ),
}
NEIGHBOURS = {
    "padding 1": (torch.nn.ConvTranspose2d(2, 4, 3, stride=2, padding=1, output_padding=1), torch.randn(1, 2, 4, 4)),
    "no output_padding": (torch.nn.ConvTranspose2d(2, 4, 3, stride=2), torch.randn(1, 2, 4, 4)),
}


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
    shown = []
    for name, (function, *inputs) in (DEFECTIVE | NEIGHBOURS).items():
        error = error_of_lowering(function, *inputs)
        print(f"{name}: {error or 'lowers'}")
        if name in DEFECTIVE and TELLING in error:
            shown.append(name)
    print(f"shown: {WHAT} ({', '.join(shown)})" if shown else "not shown: no call fails this way")
    return 0 if shown else 1


if __name__ == "__main__":
    raise SystemExit(main())
