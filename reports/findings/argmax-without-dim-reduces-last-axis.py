"""coremltools converts torch.argmax(x) to an argmax over the last dimension.

`argmax` (coremltools/converters/mil/frontend/torch/ops.py) hands the missing dimension on to reduce_argmax as
no axis, which means the last; torch means the flattened input. ExecuTorch's Core ML partitioner rejects argmax
and argmin without a dimension.
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
    x = torch.tensor([[1.0, 5.0, 2.0], [7.0, 3.0, 4.0]])
    wrong = []
    for function in (torch.argmax, torch.argmin):
        model = convert(function, x)
        emitted = [operation.type for operation in operators(model)]
        shape = output_shape(model)
        print(f"{function.__name__}: eager shape {tuple(function(x).shape)}, emitted {emitted} of shape {shape}")
        wrong.append(shape == (2,))
    if all(wrong):
        print("shown: one index a row")
        return 0
    print("not shown: one index of the flattened input")
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
