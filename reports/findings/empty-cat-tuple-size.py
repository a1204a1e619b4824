"""Concatenation of empty tensors alone fails to convert.

A pass of ExecuTorch replaces a cat of nothing but empty tensors by full(size, 0) and writes the size as a tuple,
where an exported graph has lists. The converter takes immutable_list and no tuple.
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
    "torch.cat([x, y]) of (0,) and (0,)": (lambda x, y: torch.cat([x, y]), torch.ones(0), torch.ones(0)),
    "torch.cat([x, y]) of (0,) and (2,)": (lambda x, y: torch.cat([x, y]), torch.ones(0), torch.ones(2)),
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
        found += isinstance(error, NotImplementedError) and "Unhandled node type <class 'tuple'>" in str(error)
        print(f"{text}: {type(error).__name__}: {str(error) or frame.line} (in {frame.name})")
    print(
        "shown: the size of the full is a tuple the converter does not take"
        if found
        else "not shown: every call lowers"
    )
    return 0 if found else 1


if __name__ == "__main__":
    raise SystemExit(main())
