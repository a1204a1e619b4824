"""nonzero and argwhere of an empty tensor cannot be emitted.

Eager returns the indices of nonzero column by column: of no rows the strides are (1, 0). torch.export records them
for an input without elements, and to_executorch() refuses a stride of 0, even where it belongs to a dimension of a
tensor without elements.
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
    "torch.nonzero(x) of (5, 0)": (torch.nonzero, torch.ones(5, 0)),
    "torch.argwhere(x) of (5, 0)": (torch.argwhere, torch.ones(5, 0)),
    "torch.nonzero(x) of (5, 2)": (torch.nonzero, torch.ones(5, 2)),
}


def lowering_error(function, *tensors):
    """What lowering to Core ML raises, or None when it succeeds."""
    specs = CoreMLBackend.generate_compile_specs(minimum_deployment_target=ct.target.iOS18)
    exported = torch.export.export(Call(function), tensors)
    try:
        to_edge_transform_and_lower(exported, partitioner=[CoreMLPartitioner(compile_specs=specs)]).to_executorch()
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
        found += isinstance(error, RuntimeError) and "0 in strides" in str(error)
        print(f"{text}: {type(error).__name__}: {str(error) or frame.line} (in {frame.name})")
    print("shown: the empty result is described with stride 0" if found else "not shown: the program is emitted")
    return 0 if found else 1


if __name__ == "__main__":
    raise SystemExit(main())
