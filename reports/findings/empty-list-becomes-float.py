"""An empty list of axes or sizes becomes a float constant, which MIL refuses.

coremltools' torch frontend turns a list argument into a constant with mb.const(val=[]). NumPy makes an empty list
float64, so the constant is fp32 with no element, where the MIL operator takes int32.
"""

import coremltools as ct
import torch
from executorch.backends.apple.coreml.compiler import CoreMLBackend
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower

TELLING = ("got tensor[0,fp32]", "should share the same data type")


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
    s, x = torch.tensor(1.5), torch.randn(3)
    defective = {
        "permute(())": (lambda x: x.permute(()), s),
        "new_zeros(())": (lambda x: x + x.new_zeros(()), s),
        "flip([])": (lambda x: torch.flip(x, []), x),
        "repeat(())": (lambda x: x.repeat(()), s),
        "tile(())": (lambda x: torch.tile(x, ()), x),
        "einsum i->": (lambda x: torch.einsum("i->", x), x),
        "scatter into a scalar": (lambda x, i: x.scatter(0, i, 2.5), s, torch.tensor(0)),
    }
    neighbours = {
        "flip([0])": (lambda x: torch.flip(x, [0]), x),
        "tile((1,))": (lambda x: torch.tile(x, (1,)), x),
    }
    shown = []
    for name, (function, *inputs) in (defective | neighbours).items():
        error = error_of_lowering(function, *inputs)
        print(f"{name}: {error or 'lowers'}")
        if name in defective and any(words in error for words in TELLING):
            shown.append(name)
    print(
        f"shown: the empty list arrives as tensor[0,fp32] ({', '.join(shown)})"
        if shown
        else "not shown: no call fails this way"
    )
    return 0 if shown else 1


if __name__ == "__main__":
    raise SystemExit(main())
