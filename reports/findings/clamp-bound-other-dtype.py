"""clamp_min and clamp_max with a bound of another dtype than the tensor fail to convert.

torch.clamp_min(x, 0) of a float tensor has an integer bound. The converter functions assert equal dtypes, without a
message, where their neighbours minimum and maximum promote.
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
    "torch.clamp_min(x, 0)": (lambda x: torch.clamp_min(x, 0), torch.ones(3)),
    "torch.clamp_max(x, 0)": (lambda x: torch.clamp_max(x, 0), torch.ones(3)),
    "torch.clamp_min(x, 0.0)": (lambda x: torch.clamp_min(x, 0.0), torch.ones(3)),
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
        found += isinstance(error, AssertionError) and "x.dtype == y.dtype" in (frame.line or "")
        print(f"{text}: {type(error).__name__}: {str(error) or frame.line} (in {frame.name})")
    print("shown: clamp_min asserts equal dtypes" if found else "not shown: every call lowers")
    return 0 if found else 1


if __name__ == "__main__":
    raise SystemExit(main())
