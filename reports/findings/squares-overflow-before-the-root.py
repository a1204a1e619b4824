"""Deviations and cosines of values above 256 overflow in fp16 though the result is small.

The squares are summed as they stand, and 256 squared is above the largest fp16 number. Dividing by the largest
element first would keep them in range. With every float widened the programs are right.
"""

import coremltools as ct
import numpy as np
import torch


class Module(torch.nn.Module):
    def forward(self, x, y):
        return torch.nn.functional.cosine_similarity(x, y, dim=-1, eps=0.0001)


inputs = (torch.tensor([[300.0, 400.0]]), torch.tensor([[300.0, 400.0]]))
print(f"coremltools {ct.__version__}, torch {torch.__version__}")
exported = torch.export.export(Module().eval(), inputs).run_decompositions({})
expected = np.asarray(Module().eval()(*inputs))
model = ct.convert(exported, compute_precision=ct.precision.FLOAT16, minimum_deployment_target=ct.target.iOS18)
main = model._mil_program.functions["main"]
for var, value in zip(main.inputs.values(), inputs, strict=True):
    var._sym_val = type("Value", (), {"val": value.numpy()})
for op in (op for op in main.operations if op.op_type != "const"):  # evaluated by MIL's own value inference
    op.type_value_inference(overwrite_output=True)
    print(f"  {op.op_type}({', '.join(f'{k}={v.val}' for k, v in op.inputs.items())})")
actual = main.outputs[0].val
print(f"expected {expected.ravel()}\nactual   {np.ravel(actual)}")
raise SystemExit(np.allclose(actual, expected, rtol=0.01, atol=0, equal_nan=True))
