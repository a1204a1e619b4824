"""Attention with a scale attends to everything where a row of the mask is all False.

With `scale` the operator is decomposed and a bool mask becomes (1 - mask) * -3e4. A whole row of -3e4 cancels in the
softmax.
"""

import coremltools as ct
import numpy as np
import torch


class Module(torch.nn.Module):
    def forward(self, q, k, v, mask):
        return torch.nn.functional.scaled_dot_product_attention(q, k, v, mask, scale=0.5)


inputs = (
    torch.ones(1, 1, 2, 2),
    torch.ones(1, 1, 3, 2),
    torch.ones(1, 1, 3, 2),
    torch.tensor([[True, False, True], [False, False, False]]),
)
print(f"coremltools {ct.__version__}, torch {torch.__version__}")
exported = torch.export.export(Module().eval(), inputs).run_decompositions({})
expected = np.asarray(Module().eval()(*inputs))
model = ct.convert(exported, compute_precision=ct.precision.FLOAT32, minimum_deployment_target=ct.target.iOS18)
main = model._mil_program.functions["main"]
for var, value in zip(main.inputs.values(), inputs, strict=True):
    var._sym_val = type("Value", (), {"val": value.numpy()})
for op in (op for op in main.operations if op.op_type != "const"):  # evaluated by MIL's own value inference
    op.type_value_inference(overwrite_output=True)
    print(f"  {op.op_type}({', '.join(f'{k}={v.val}' for k, v in op.inputs.items())})")
actual = main.outputs[0].val
print(f"expected {expected.ravel()}\nactual   {np.ravel(actual)}")
raise SystemExit(np.allclose(actual, expected, rtol=1e-05, atol=0, equal_nan=True))
