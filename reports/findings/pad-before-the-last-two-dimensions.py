"""Padding by reflect or replicate before the last two dimensions is emitted although Core ML does not load it.

Core ML takes padding by reflect and replicate in the last two dimensions only. The converter makes one MIL pad of
every such call, and MIL's own checks know nothing of the rule, so that nothing fails before Core ML parses the
program. Padding one dimension at a time, with that one moved to the end, would load.
"""

import coremltools as ct
import torch
import torch.nn.functional as F


class Module(torch.nn.Module):
    def forward(self, x):
        return F.pad(x, (1, 1, 1, 1, 1, 1), mode="reflect")


inputs = (torch.randn(1, 2, 4, 4, 4),)
print(f"coremltools {ct.__version__}, torch {torch.__version__}")
exported = torch.export.export(Module().eval(), inputs).run_decompositions({})
model = ct.convert(exported, compute_precision=ct.precision.FLOAT32, minimum_deployment_target=ct.target.iOS18)
main = model._mil_program.functions["main"]
for op in main.operations:
    if op.op_type != "const":
        arguments = ", ".join(f"{k}={v.name if v.val is None else v.val}" for k, v in op.inputs.items())
        print(f"  {op.op_type}({arguments}) -> {[tuple(out.shape) for out in op.outputs]}")
print(f"  inputs {list(main.inputs)}, outputs {[out.name for out in main.outputs]}")
refused = any(op.op_type == "pad" and op.mode.val != "constant" and any(op.pad.val[:-4]) for op in main.operations)
print(f"expected: a program that Core ML loads\nactual:   {'one that it does not' if refused else 'it is'}")
if model.__proxy__ or model._framework_error:  # on a Mac Core ML is asked
    print(f"Core ML:  {model._framework_error or 'loads it'}")
raise SystemExit(not refused)
