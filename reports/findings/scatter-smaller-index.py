"""scatter and scatter_add with an index smaller than the input fail to convert.

PyTorch wants index.size(d) <= input.size(d) in every dimension but dim, and leaves the rest of the input alone. MIL
scatter_along_axis wants equality and asserts it, without a message; the converter passes the tensors on as they are.
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
    "x.scatter_add(1, index, y) of (4, 3) and (2, 3)": (
        lambda x, i, y: x.scatter_add(1, i, y),
        torch.ones(4, 3),
        torch.zeros(2, 3, dtype=torch.int64),
        torch.ones(2, 3),
    ),
    "x.scatter(1, index, y) of (4, 3) and (2, 3)": (
        lambda x, i, y: x.scatter(1, i, y),
        torch.ones(4, 3),
        torch.zeros(2, 3, dtype=torch.int64),
        torch.ones(2, 3),
    ),
    "x.scatter_add(1, index, y) of (4, 3) and (4, 3)": (
        lambda x, i, y: x.scatter_add(1, i, y),
        torch.ones(4, 3),
        torch.zeros(4, 3, dtype=torch.int64),
        torch.ones(4, 3),
    ),
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
        found += isinstance(error, AssertionError) and frame.name == "type_inference"
        print(f"{text}: {type(error).__name__}: {str(error) or frame.line} (in {frame.name})")
    print(
        "shown: scatter_along_axis asserts equal shapes that PyTorch does not ask for"
        if found
        else "not shown: every call lowers"
    )
    return 0 if found else 1


if __name__ == "__main__":
    raise SystemExit(main())
