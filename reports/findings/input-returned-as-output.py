"""An input returned unchanged keeps its name as an output, which Core ML of iOS 26 and macOS 26 does not load.

What changes nothing is not converted, or removed by a pass, so that the input itself becomes the output. coremltools
has a pass that copies such an output, and runs it for neural networks only. In an ML Program another pass, for inputs
that no operator reads, adds an identity whose result nothing reads.
"""

import coremltools as ct
import torch


class Module(torch.nn.Module):
    def forward(self, x):
        return x.clone()


inputs = (torch.randn(3),)
print(f"coremltools {ct.__version__}, torch {torch.__version__}")
exported = torch.export.export(Module().eval(), inputs).run_decompositions({})
model = ct.convert(exported, compute_precision=ct.precision.FLOAT32, minimum_deployment_target=ct.target.iOS18)
main = model._mil_program.functions["main"]
for op in main.operations:
    if op.op_type != "const":
        arguments = ", ".join(f"{k}={v.name if v.val is None else v.val}" for k, v in op.inputs.items())
        print(f"  {op.op_type}({arguments}) -> {[tuple(out.shape) for out in op.outputs]}")
print(f"  inputs {list(main.inputs)}, outputs {[out.name for out in main.outputs]}")
refused = any(out.name in main.inputs for out in main.outputs)
print(f"expected: a program that Core ML loads\nactual:   {'one that it does not' if refused else 'it is'}")
if model.__proxy__ or model._framework_error:  # on a Mac Core ML is asked
    print(f"Core ML:  {model._framework_error or 'loads it'}")
raise SystemExit(not refused)
