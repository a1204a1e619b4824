"""index_put that accumulates over whole slices is claimed although the converter declines it.

index_add along a dimension other than the first becomes index_put with indices [None, index] and accumulate=True,
which the converter refuses. The partitioner looks at the name of the operator alone.
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


#: Calls that eager and torch.export take. The first does not lower.
CALLS = {
    "x.index_add(1, i, y)": (
        lambda x, i, y: torch.index_add(x, 1, i, y, alpha=2),
        torch.ones(3, 3),
        torch.tensor([0, 2]),
        torch.ones(3, 2),
    ),
    "x.index_add(0, i, y)": (
        lambda x, i, y: torch.index_add(x, 0, i, y, alpha=2),
        torch.ones(3, 3),
        torch.tensor([0, 2]),
        torch.ones(2, 3),
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
        found += isinstance(error, NotImplementedError) and "whole slice" in str(error)
        print(f"{text}: {type(error).__name__}: {str(error) or frame.line} (in {frame.name})")
    print("shown: claimed, then declined by the converter" if found else "not shown: every call lowers")
    return 0 if found else 1


if __name__ == "__main__":
    raise SystemExit(main())
