"""coremltools converts torch.diagonal(x) to a matrix with zeros off its diagonal.

`diagonal` (coremltools/converters/mil/frontend/torch/ops.py) emits band_part with lower=0 and upper=0, whose
result has the shape of its input; torch.diagonal returns a vector. Any other offset or pair of dimensions is
refused. ExecuTorch's Core ML partitioner keeps the operator out of Core ML for this.
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


def operators(model):
    """The operators of the emitted program, constants left out."""
    function = model.get_spec().mlProgram.functions["main"]
    block = function.block_specializations[function.opset]
    return [operation for operation in block.operations if operation.type != "const"]


def output_shape(model):
    result = operators(model)[-1].outputs[0].type.tensorType
    return tuple(dimension.constant.size for dimension in result.dimensions)


def main() -> int:
    x = torch.rand(3, 4)
    model = convert(torch.diagonal, x)
    print(f"emitted {[operation.type for operation in operators(model)]}, shape {output_shape(model)}")
    try:
        convert(lambda x: torch.diagonal(x, 1), x)
    except NotImplementedError as error:
        print(f"torch.diagonal(x, 1): NotImplementedError: {error}")
    if output_shape(model) == (3, 4) and operators(model)[-1].type == "band_part":
        print(f"shown: eager gives shape {tuple(torch.diagonal(x).shape)}")
        return 0
    print("not shown: the shape is that of eager")
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
