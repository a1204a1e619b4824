"""pinv decides in fp16 which singular values count.

A product of two vectors has rank one. Rounded to fp16, in which Core ML computes by default, it has more: singular
values that vanish in float32 are then above the threshold below which pinv drops them, and count by their reciprocals.
"""

import coremltools as ct
import torch

column, row = torch.tensor([[0.1], [0.7], [-0.3]]), torch.tensor([[0.9, -0.2, 0.6]])
print(f"coremltools {ct.__version__}, torch {torch.__version__}")


class Module(torch.nn.Module):
    def forward(self, column, row):
        return column @ row


exported = torch.export.export(Module().eval(), (column, row)).run_decompositions({})
model = ct.convert(exported, compute_precision=ct.precision.FLOAT16, minimum_deployment_target=ct.target.iOS18)
main = model._mil_program.functions["main"]
kinds = [op.outputs[0].dtype.__name__ for op in main.operations if op.op_type == "matmul"]
expected = torch.linalg.pinv(column @ row)
actual = torch.linalg.pinv((column.half() @ row.half()).float())
print(f"the product is computed in {kinds}")
print(f"expected: pinv as in float32, largest element {expected.abs().max():.3g}")
print(f"actual:   of the product rounded to fp16 {actual.abs().max():.3g}")
raise SystemExit(bool(actual.abs().max() < 10 * expected.abs().max()))
