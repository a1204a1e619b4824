"""Nodes with complex inputs or casts to complex are claimed although Core ML has no complex type.

The partitioner claims an operator by its name and never looks at dtypes. A complex input of the partition, or a
complex dtype among the arguments, is then a KeyError in the tables of dtypes of the converter. irfft2 of a real
tensor contains such a cast.
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


#: Calls that eager and torch.export take and that do not lower.
CALLS = {
    "silu(x) of complex64": (functional.silu, torch.ones(3, dtype=torch.complex64)),
    "x.to(torch.complex64)": (lambda x: x.to(torch.complex64), torch.ones(3)),
    "torch.fft.irfft2(x)": (torch.fft.irfft2, torch.ones(4, 4)),
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
        found += isinstance(error, KeyError) and "torch.complex" in str(error)
        print(f"{text}: {type(error).__name__}: {str(error) or frame.line} (in {frame.name})")
    print("shown: claimed, then no entry in the tables of dtypes" if found else "not shown: every call lowers")
    return 0 if found else 1


if __name__ == "__main__":
    raise SystemExit(main())
