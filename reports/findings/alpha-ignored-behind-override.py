"""coremltools converts torch.add(x, y, alpha=2) to x + y, and torch.sub likewise.

The functions `add` and `sub` (coremltools/converters/mil/frontend/torch/ops.py) look for alpha as a third
positional input. In an exported program it is a keyword argument, so neither the scale nor the check against it
is reached. ExecuTorch's Core ML partitioner keeps both operators with alpha out of Core ML for this.
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
    x, y = torch.tensor([1.0, 2.0]), torch.tensor([10.0, 20.0])
    wrong = []
    for function, name in ((torch.add, "add"), (torch.sub, "sub")):
        model = convert(lambda x, y, function=function: function(x, y, alpha=2), x, y)
        emitted = [operation.type for operation in operators(model)]
        print(f"torch.{name}(x, y, alpha=2) gives {function(x, y, alpha=2).tolist()}, emitted is {emitted}")
        constant = any(b.HasField("value") for o in operators(model) for a in o.inputs.values() for b in a.arguments)
        wrong.append(emitted == [name] and not constant)
    if all(wrong):
        print("shown: the emitted programs add and subtract the inputs as they are")
        return 0
    print("not shown: alpha is in the emitted program")
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
