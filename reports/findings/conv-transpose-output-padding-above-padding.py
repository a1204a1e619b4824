"""ConvTranspose with output_padding above padding has the wrong output size.

MIL has no output_padding. The converter pads the input by the part of it that exceeds the padding; a row more of
input makes `stride` rows of output, so the size is right only where the stride happens to fit.
"""

import coremltools as ct
import torch


class Module(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.ConvTranspose1d(1, 1, 3, stride=4, padding=1, output_padding=2)

    def forward(self, x):
        return self.layer(x)


inputs = (torch.randn(1, 1, 3),)
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
