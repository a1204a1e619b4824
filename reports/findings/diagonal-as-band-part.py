"""Diagonal keeps the matrix and zeroes what is off the diagonal.

The converter emits band_part with lower and upper 0, which is a matrix with zeros off its diagonal, for an operator
that returns the diagonal as a vector.
"""

import coremltools as ct
import torch


class Module(torch.nn.Module):
    def forward(self, x):
        return torch.diagonal(x)


inputs = (torch.rand(3, 4),)
print(f"coremltools {ct.__version__}, torch {torch.__version__}")
exported = torch.export.export(Module().eval(), inputs).run_decompositions({})
expected = tuple(Module().eval()(*inputs).shape)
model = ct.convert(exported, compute_precision=ct.precision.FLOAT32, minimum_deployment_target=ct.target.iOS18)
main = model._mil_program.functions["main"]
for op in main.operations:
    if op.op_type != "const":
        print(f"  {op.op_type} -> {[tuple(out.shape) for out in op.outputs]}")
actual = tuple(main.outputs[0].shape)
print(f"expected shape {expected}\nactual   shape {actual}")
raise SystemExit(actual == expected)
