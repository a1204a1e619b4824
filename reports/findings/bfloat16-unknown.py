"""A bfloat16 input or a cast to bfloat16 fails to convert.

Neither table of dtypes of the converter knows bfloat16, so a model in bfloat16 ends in a KeyError instead of running
in fp16 or fp32 or falling back. The partitioner does not look at dtypes.
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
    "x.to(torch.bfloat16)": (lambda x: x.to(torch.bfloat16), torch.ones(3)),
    "x + x of bfloat16": (lambda x: x + x, torch.ones(3, dtype=torch.bfloat16)),
    "x.to(torch.float16)": (lambda x: x.to(torch.float16), torch.ones(3)),
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
        found += isinstance(error, KeyError) and str(error) == "torch.bfloat16"
        print(f"{text}: {type(error).__name__}: {str(error) or frame.line} (in {frame.name})")
    print("shown: the tables of dtypes have no bfloat16" if found else "not shown: every call lowers")
    return 0 if found else 1


if __name__ == "__main__":
    raise SystemExit(main())
