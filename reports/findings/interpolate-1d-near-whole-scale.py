"""1-d interpolate to a size near a multiple of the input size gives the multiple.

A scale within 0.001 above a whole number is taken for that number.
"""

import coremltools as ct
import torch
import torch.nn.functional as F


class Module(torch.nn.Module):
    def forward(self, x):
        return F.interpolate(x, size=1002, mode="linear")


inputs = (torch.randn(1, 1, 1001),)
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
