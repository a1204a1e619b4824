"""An int8 or uint8 input of a partition fails to convert.

The dtype of a partition input is looked up in a table of bool, int16, int32, int64 and the floats; int8 and uint8 are
missing, so an image of bytes that the model scales itself cannot be lowered. int16 is passed as int32 in the next
line, these could be as well.
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
    "x.to(torch.float32) / 255 of uint8": (
        lambda x: x.to(torch.float32) / 255,
        torch.ones(1, 3, 4, 4, dtype=torch.uint8),
    ),
    "~x of int8": (torch.bitwise_not, torch.ones(3, dtype=torch.int8)),
    "x.to(torch.float32) / 255 of int32": (
        lambda x: x.to(torch.float32) / 255,
        torch.ones(1, 3, 4, 4, dtype=torch.int32),
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
        found += isinstance(error, KeyError) and frame.name == "_construct_ct_tensor_type_from_torch"
        print(f"{text}: {type(error).__name__}: {str(error) or frame.line} (in {frame.name})")
    print("shown: the table of input dtypes has no int8 and no uint8" if found else "not shown: every call lowers")
    return 0 if found else 1


if __name__ == "__main__":
    raise SystemExit(main())
