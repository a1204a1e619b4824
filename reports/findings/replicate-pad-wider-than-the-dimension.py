"""Padding by replicate wider than the dimension is emitted although MIL takes none.

PyTorch replicates an edge as often as it is asked. MIL's pad documents that replicate takes widths up to the size of
the dimension and reflect up to one less, which PyTorch asks of reflect as well. Neither the converter nor MIL's type
inference checks it.
"""

import coremltools as ct
import torch
import torch.nn.functional as F


class Module(torch.nn.Module):
    def forward(self, x):
        return F.pad(x, (4, 0), mode="replicate")


inputs = (torch.randn(1, 2, 3),)
print(f"coremltools {ct.__version__}, torch {torch.__version__}")
exported = torch.export.export(Module().eval(), inputs).run_decompositions({})
model = ct.convert(exported, compute_precision=ct.precision.FLOAT32, minimum_deployment_target=ct.target.iOS18)
main = model._mil_program.functions["main"]
for op in main.operations:
    if op.op_type != "const":
        arguments = ", ".join(f"{k}={v.name if v.val is None else v.val}" for k, v in op.inputs.items())
        print(f"  {op.op_type}({arguments}) -> {[tuple(out.shape) for out in op.outputs]}")
print(f"  inputs {list(main.inputs)}, outputs {[out.name for out in main.outputs]}")
refused = any(op.op_type == "pad" and max(op.pad.val[-2:]) > op.x.shape[-1] for op in main.operations)
print(f"expected: a program that Core ML loads\nactual:   {'one that it does not' if refused else 'it is'}")
if model.__proxy__ or model._framework_error:  # on a Mac Core ML is asked
    print(f"Core ML:  {model._framework_error or 'loads it'}")
raise SystemExit(not refused)
