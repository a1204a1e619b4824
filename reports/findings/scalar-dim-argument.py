"""Operators given dim 0 or -1 of a rank-0 tensor fail to convert.

PyTorch lets dim 0 and -1 name the one imaginary dimension of a scalar tensor, so sum, cumsum, amax, argmax, gather,
index_select, sort, topk, squeeze and transpose take it. The converter hands the dim on as an axis of a value of rank
0: its own indexing or the type inference of the MIL operator then leaves the list of dimensions.
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


#: Calls that eager and torch.export take. The first seven do not lower.
CALLS = {
    "torch.sum(x, -1)": (lambda x: torch.sum(x, -1), torch.tensor(2.0)),
    "torch.amax(x, 0, keepdim=True)": (lambda x: torch.amax(x, 0, True), torch.tensor(2.0)),
    "torch.index_select(x, 0, i)": (lambda x, i: torch.index_select(x, 0, i), torch.tensor(2.0), torch.tensor([0])),
    "torch.sort(x, 0)": (lambda x: torch.sort(x, 0, True), torch.tensor(2.0)),
    "torch.squeeze(x, 0)": (lambda x: torch.squeeze(x, 0), torch.tensor(2.0)),
    "torch.topk(x, 1, 0)": (lambda x: torch.topk(x, 1, 0), torch.tensor(2.0)),
    "torch.cumsum(x, 0)": (lambda x: torch.cumsum(x, 0), torch.tensor(2.0)),
    "torch.sum(x)": (torch.sum, torch.tensor(2.0)),
    "torch.sum(x, -1) of rank 1": (lambda x: torch.sum(x, -1), torch.ones(1)),
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
        found += isinstance(error, IndexError) or "axis should be in the range [-1, -1]" in str(error)
        print(f"{text}: {type(error).__name__}: {str(error) or frame.line} (in {frame.name})")
    print(
        "shown: an axis of a tensor of rank 0 is an error in the converter" if found else "not shown: every call lowers"
    )
    return 0 if found else 1


if __name__ == "__main__":
    raise SystemExit(main())
