"""Zeros_like of another dtype keeps the tensor's own.

torch.export passes dtype by its name, and the converter reads zeros_like's positional arguments only, so the zeros of
a mask are truth values. PyTorch makes the mask of attention that way: False filled with -inf where it is masked is
True, and MIL's attention takes a mask of truth values as what to attend to.
"""

import coremltools as ct
import numpy as np
import torch


class Module(torch.nn.Module):
    def forward(self, mask):
        return torch.zeros_like(mask, dtype=torch.float32).masked_fill(mask, -2.0)


inputs = (torch.tensor([True, False, True]),)
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
