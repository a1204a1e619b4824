"""Upsample given an output size and scales takes its size from the scales.

In the overloads that take both, torch makes an output of output_size and uses the scales to find the samples only.
The converter looks at output_size only where no scales are given.
"""

import coremltools as ct
import torch


class Module(torch.nn.Module):
    def forward(self, x):
        return torch.ops.aten.upsample_nearest2d.default(x, [8, 8], 2.0, 2.0)


inputs = (torch.randn(1, 1, 5, 5),)
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
