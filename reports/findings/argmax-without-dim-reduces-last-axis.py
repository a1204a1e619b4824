"""Argmax and argmin without a dimension reduce the last one.

No dimension is handed on as no axis, and reduce_argmax without an axis takes the last. torch flattens first. Of a
vector the two agree.
"""

import coremltools as ct
import torch


class Module(torch.nn.Module):
    def forward(self, x):
        return torch.argmax(x)


inputs = (torch.tensor([[1.0, 5.0, 2.0], [7.0, 3.0, 4.0]]),)
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
