"""broadcast_tensors and meshgrid lower to Core ML and then cannot be emitted.

The partitioner keeps them whole. Their results are views with stride 0, the delegate that replaces it
keeps that description of them, though it returns ordinary tensors, and to_executorch() refuses a stride of 0. expand
has no such trouble: it is replaced by expand_copy first.
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
    "torch.broadcast_tensors(x, y)": (lambda x, y: torch.broadcast_tensors(x, y), torch.ones(3), torch.ones(2, 1)),
    "torch.meshgrid(x, y)": (lambda x, y: torch.meshgrid(x, y, indexing="ij"), torch.ones(3), torch.ones(2)),
    "x.expand(2, 3)": (lambda x: x.expand(2, 3), torch.ones(3)),
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
    print(
        "shown: the outputs of the delegate are described with stride 0"
        if found
        else "not shown: the program is emitted"
    )
    return 0 if found else 1


if __name__ == "__main__":
    raise SystemExit(main())
