"""Second and third results of pooling and normalisation fail to convert when they are used.

max_pool*_with_indices, native_layer_norm, native_group_norm and batch norm without training bind (result, None, ...),
adaptive_max_pool1d and batch norm in training bind the bare first result. The getitem that reads indices, mean or
rstd then raises. The partitioner claims all of it.
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


#: Calls that eager and torch.export take. The first three do not lower.
CALLS = {
    "max_pool2d(x, return_indices=True)": (
        lambda x: functional.max_pool2d(x, 2, 2, return_indices=True),
        torch.ones(1, 1, 4, 4),
    ),
    "native_layer_norm(x)": (
        lambda x: torch.native_layer_norm(x, (3,), torch.ones(3), torch.ones(3), 1e-5),
        torch.ones(2, 3),
    ),
    "adaptive_max_pool1d(x, return_indices=True)": (
        lambda x: functional.adaptive_max_pool1d(x, 2, return_indices=True),
        torch.ones(1, 1, 4),
    ),
    "native_layer_norm(x)[0]": (
        lambda x: torch.native_layer_norm(x, (3,), torch.ones(3), torch.ones(3), 1e-5)[0],
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
        found += isinstance(error, AssertionError) and frame.name == "getitem"
        print(f"{text}: {type(error).__name__}: {str(error) or frame.line} (in {frame.name})")
    print("shown: a result the converter never bound is asked for" if found else "not shown: every call lowers")
    return 0 if found else 1


if __name__ == "__main__":
    raise SystemExit(main())
