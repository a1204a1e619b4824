"""With FLOAT16 precision a number above 1e38 becomes infinite.

The cast to fp16 leaves an operator in float32 whose constants are beyond 65504, except for numbers above 1e38, which
its source says are meant for infinities. They are where a softmax follows and something is left of the row; 0 times
infinity, and a row of nothing else, are NaN.
"""

import coremltools as ct
import numpy as np
import torch


class Module(torch.nn.Module):
    def forward(self, x, mask):
        return x + (1.0 - mask) * torch.finfo(x.dtype).min


inputs = (torch.randn(2, 3), torch.ones(2, 3))
print(f"coremltools {ct.__version__}, torch {torch.__version__}")
exported = torch.export.export(Module().eval(), inputs).run_decompositions({})
expected = Module().eval()(*inputs)
model = ct.convert(exported, compute_precision=ct.precision.FLOAT16, minimum_deployment_target=ct.target.iOS18)
main = model._mil_program.functions["main"]
(product,) = main.find_ops(op_type="mul")
factor = product.y.val if product.y.val is not None else product.x.val
with np.errstate(invalid="ignore"):
    actual = inputs[0].numpy() + (1.0 - inputs[1].numpy()) * factor
print(f"  mul by {factor}, {factor.dtype}")
print(f"expected {expected.numpy().ravel()}\nactual   {actual.ravel()}")
raise SystemExit(not np.isnan(actual).all())
