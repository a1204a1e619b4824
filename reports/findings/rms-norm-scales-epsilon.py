"""Rms_norm multiplies epsilon by the largest element squared; a row of zeros gives NaN.

To keep squares in the range of fp16 the row is divided by m = max(abs(x)), epsilon is added to the mean square of the
quotient, and the root is multiplied by m again, which makes sqrt(mean(x**2) + epsilon * m**2). Epsilon would have to
be divided by m**2. A row of zeros divides 0 by 0. Where no epsilon is given the function takes 1e-5 instead of the
machine epsilon of the input's type that torch documents.
"""

import coremltools as ct
import numpy as np
import torch


class Module(torch.nn.Module):
    def forward(self, x):
        return torch.nn.functional.rms_norm(x, (3,), None, 0.01)


inputs = (torch.tensor([[10.0, 20.0, 30.0], [0.0, 0.0, 0.0]]),)
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
