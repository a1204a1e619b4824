"""coremltools cannot convert torch.rand from an exported program.

`rand` (coremltools/converters/mil/frontend/torch/ops.py) unpacks five inputs, as TorchScript passes them. In an
exported program all but the size are keyword arguments, so there is one. ExecuTorch's Core ML partitioner
rejects the operator for this.
"""

import coremltools as ct
import torch


class Module(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *inputs):
        return self.function(*inputs)


def convert(function, *inputs):
    """No ExecuTorch in the way: its Core ML partitioner rejects the operator."""
    exported = torch.export.export(Module(function), inputs).run_decompositions({})
    return ct.convert(
        exported,
        convert_to="mlprogram",
        compute_precision=ct.precision.FLOAT32,
        minimum_deployment_target=ct.target.iOS18,
        skip_model_load=True,
    )


def main() -> int:
    x = torch.rand(2, 3)
    convert(lambda x: x + torch.rand_like(x), x)
    message = ""
    try:
        convert(lambda x: x + torch.rand(2, 3), x)
    except ValueError as error:
        message = str(error)
    print(message)
    if "not enough values to unpack (expected 5, got 1)" in message:
        print("shown: conversion of rand fails; rand_like converts")
        return 0
    print("not shown: rand does not fail so")
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
