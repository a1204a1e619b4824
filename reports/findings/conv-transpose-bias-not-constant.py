"""A transposed convolution with a bias that is computed or an input fails to convert.

Type inference of MIL conv_transpose compares self.bias.val.shape with the output channels; the value of a bias that
is not constant is None, though its shape is known. Nothing on the way moves such a bias into an addition.
"""

import traceback

import coremltools as ct
import torch
from executorch.backends.apple.coreml.compiler import CoreMLBackend
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower
from torch.nn import functional


class Call(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *tensors):
        return self.function(*tensors)


#: Calls that eager and torch.export take. The first does not lower.
CALLS = {
    "conv_transpose1d(x, w, b) with b an input": (
        functional.conv_transpose1d,
        torch.ones(1, 2, 5),
        torch.ones(2, 3, 3),
        torch.ones(3),
    ),
    "without bias": (functional.conv_transpose1d, torch.ones(1, 2, 5), torch.ones(2, 3, 3)),
}


def lowering_error(function, *tensors):
    """What lowering to Core ML raises, or None when it succeeds."""
    specs = CoreMLBackend.generate_compile_specs(minimum_deployment_target=ct.target.iOS18)
    exported = torch.export.export(Call(function), tensors)
    try:
        to_edge_transform_and_lower(exported, partitioner=[CoreMLPartitioner(compile_specs=specs)])
    except Exception as error:
        return error
    return None


def main() -> int:
    found = 0
    for text, (function, *tensors) in CALLS.items():
        function(*tensors)  # eager takes it
        error = lowering_error(function, *tensors)
        if error is None:
            print(f"{text}: lowers")
            continue
        frame = traceback.extract_tb(error.__traceback__)[-1]
        found += (
            isinstance(error, AttributeError)
            and "'NoneType' object has no attribute 'shape'" in str(error)
            and frame.name == "type_inference"
        )
        print(f"{text}: {type(error).__name__}: {str(error) or frame.line} (in {frame.name})")
    print("shown: conv_transpose reads the value of a bias that has none" if found else "not shown: every call lowers")
    return 0 if found else 1


if __name__ == "__main__":
    raise SystemExit(main())
