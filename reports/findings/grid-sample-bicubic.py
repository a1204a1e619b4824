"""grid_sample with mode="bicubic" fails to convert.

The converter looks the interpolation mode up in a table of bilinear and nearest; bicubic (2) is not in it, and MIL
resample has no such mode. Neither the partitioner nor the converter says so.
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
    'grid_sample(x, grid, mode="bicubic")': (
        lambda x, g: functional.grid_sample(x, g, "bicubic", align_corners=False),
        torch.ones(1, 1, 4, 4),
        torch.zeros(1, 2, 2, 2),
    ),
    'mode="bilinear"': (
        lambda x, g: functional.grid_sample(x, g, "bilinear", align_corners=False),
        torch.ones(1, 1, 4, 4),
        torch.zeros(1, 2, 2, 2),
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
        found += isinstance(error, KeyError) and frame.name == "grid_sampler"
        print(f"{text}: {type(error).__name__}: {str(error) or frame.line} (in {frame.name})")
    print("shown: grid_sampler has no entry for bicubic" if found else "not shown: every call lowers")
    return 0 if found else 1


if __name__ == "__main__":
    raise SystemExit(main())
