"""nll_loss of one sample without a batch dimension fails to convert.

PyTorch takes log-probabilities of shape (C,) with a target of shape (). The converter reads the number of classes
from shape[1].
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


#: Calls that eager and torch.export take and that do not lower.
CALLS = {
    "nll_loss of shape (3,)": (
        lambda x, t: torch.ops.aten.nll_loss_nd(x, t, None, 1, 1),
        torch.ones(3),
        torch.tensor(0),
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
        found += isinstance(error, IndexError) and str(error) == "tuple index out of range" and frame.name == "nll_loss"
        print(f"{text}: {type(error).__name__}: {str(error) or frame.line} (in {frame.name})")
    print("shown: nll_loss reads shape[1] of a vector" if found else "not shown: every call lowers")
    return 0 if found else 1


if __name__ == "__main__":
    raise SystemExit(main())
