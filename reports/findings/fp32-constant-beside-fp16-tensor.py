"""Constants that the converter puts in are fp32 also beside fp16 tensors.

An epsilon, a padding value or a factor is written as a Python float, or comes as a number of the call, and becomes an
fp32 constant, while MIL wants it in the dtype of the tensor. leaky_relu casts its slope beforehand, and the
arithmetic operators promote.
"""

import coremltools as ct
import torch
import torch.nn.functional as F

x = torch.randn(1, 3, 4, 4).half()


class Module(torch.nn.Module):
    def forward(self, x, y, z):
        return F.batch_norm(x, y, z)


inputs = (x, torch.zeros(3).half(), torch.ones(3).half())
print(f"coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    ct.convert(exported.run_decompositions({}), minimum_deployment_target=ct.target.iOS18)
    actual = "it converts"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it converts\nactual:   {actual.splitlines()[0]}")
raise SystemExit("has dtype fp32 whereas" not in actual)
