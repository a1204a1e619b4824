"""Select declares a shape that leaves its condition out.

The type inference of MIL `select` broadcasts a and b, not cond, contrary to the documentation of the operator, and
masked_fill does not broadcast before it.
"""

import coremltools as ct
import torch


class Module(torch.nn.Module):
    def forward(self, x, mask):
        return x.masked_fill(mask, 2.0)


inputs = (torch.ones(3), torch.tensor([[True, False, True], [False, False, True]]))
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
