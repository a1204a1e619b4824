"""A contiguous input with a dimension of size 0 or 1 is refused as not contiguous.

The converter refuses an input whose Tensor.dim_order() is not 0, 1, 2, ... That order is read from the strides, which
say nothing where a size is 0 or 1: a channels-last tensor of 1x1 pixels and some empty tensors are contiguous
(is_contiguous() is True) and refused.
"""

import traceback

import coremltools as ct
import torch
from executorch.backends.apple.coreml.compiler import CoreMLBackend
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower


class Call(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *tensors):
        return self.function(*tensors)


#: Calls that eager and torch.export take. The first two do not lower.
CALLS = {
    "x + 1 of (1, 3, 1, 1), channels last": (
        lambda x: x + 1,
        torch.ones(1, 3, 1, 1).to(memory_format=torch.channels_last),
    ),
    "x + 1 of (0, 1, 5, 5)": (lambda x: x + 1, torch.ones(0, 1, 5, 5)),
    "x + 1 of (1, 3, 1, 1)": (lambda x: x + 1, torch.ones(1, 3, 1, 1)),
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
        found += isinstance(error, NotImplementedError) and "non-contiguous dim order" in str(error)
        print(f"{text}: {type(error).__name__}: {str(error) or frame.line} (in {frame.name})")
    print(
        "shown: contiguous inputs are refused for their order of dimensions"
        if found
        else "not shown: every call lowers"
    )
    return 0 if found else 1


if __name__ == "__main__":
    raise SystemExit(main())
