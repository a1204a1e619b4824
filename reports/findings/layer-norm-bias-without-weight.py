"""layer_norm with a bias and no weight fails to convert.

Type inference of MIL layer_norm checks the shape of beta by the shape of gamma (a slip: the message names beta), and
gamma is None when PyTorch gives no weight.
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
    "layer_norm(x, weight=None, bias=b)": (
        lambda x: functional.layer_norm(x, (3,), None, torch.ones(3)),
        torch.ones(2, 3),
    ),
    "with weight and bias": (lambda x: functional.layer_norm(x, (3,), torch.ones(3), torch.ones(3)), torch.ones(2, 3)),
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
    print("shown: layer_norm checks beta by the shape of an absent gamma" if found else "not shown: every call lowers")
    return 0 if found else 1


if __name__ == "__main__":
    raise SystemExit(main())
