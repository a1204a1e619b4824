"""Broadcasting a dimension of 0 with one of 1 gives 1.

The broadcast shape is taken as the maximum of the sizes, which is right for all sizes but 0.
"""

import coremltools as ct
import torch


class Module(torch.nn.Module):
    def forward(self, condition, x, y):
        return torch.where(condition, x, y)


inputs = (torch.ones(0, 3, dtype=torch.bool), torch.ones(1, 3), torch.zeros(1, 3))
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
