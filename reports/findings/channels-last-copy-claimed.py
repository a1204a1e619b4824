"""A copy to channels_last is claimed although the converter declines it.

x.to(memory_format=torch.channels_last) becomes _to_dim_order_copy with a dim_order other than 0, 1, 2, 3. The
converter registers the operator and raises for every other order; the partitioner claims it by its name.
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
    "x.to(torch.float16, memory_format=torch.channels_last)": (
        lambda x: x.to(torch.float16, memory_format=torch.channels_last),
        torch.ones(1, 2, 3, 4),
    ),
    "x.to(torch.float16)": (lambda x: x.to(torch.float16), torch.ones(1, 2, 3, 4)),
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
        found += isinstance(error, NotImplementedError) and "non-contiguous dim order" in str(error)
        print(f"{text}: {type(error).__name__}: {str(error) or frame.line} (in {frame.name})")
    print("shown: claimed, then declined by the converter" if found else "not shown: every call lowers")
    return 0 if found else 1


if __name__ == "__main__":
    raise SystemExit(main())
