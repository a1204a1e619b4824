"""Linear upsampling to a size that is no whole multiple is claimed although the converter declines it.

With a scale factor, align_corners=False and size * factor not whole, the converter raises; the partitioner looks at
the name of the operator alone.
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


#: Calls that eager and torch.export take. The first two do not lower.
CALLS = {
    'interpolate(x, scale_factor=1.7, mode="bilinear")': (
        lambda x: functional.interpolate(x, scale_factor=1.7, mode="bilinear"),
        torch.ones(1, 1, 4, 4),
    ),
    'interpolate(x, scale_factor=1.7, mode="linear")': (
        lambda x: functional.interpolate(x, scale_factor=1.7, mode="linear"),
        torch.ones(1, 1, 4),
    ),
    "scale_factor=2.0": (
        lambda x: functional.interpolate(x, scale_factor=2.0, mode="bilinear"),
        torch.ones(1, 1, 4, 4),
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
        found += isinstance(error, NotImplementedError) and "with float output size" in str(error)
        print(f"{text}: {type(error).__name__}: {str(error) or frame.line} (in {frame.name})")
    print("shown: claimed, then declined by the converter" if found else "not shown: every call lowers")
    return 0 if found else 1


if __name__ == "__main__":
    raise SystemExit(main())
