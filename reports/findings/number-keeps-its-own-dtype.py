"""A number of the call is not brought to the dtype of the tensor it belongs to.

A Python int becomes an int32 constant, a float an fp32 one, a bool a bool, and MIL wants one dtype. Where binary
operators call promote_input_dtypes, and baddbmm casts its beta (not its alpha), these functions pass the number on.
elu does so with the 1 it puts in for a missing alpha itself.
"""

import coremltools as ct
import torch
import torch.nn.functional as F


class Module(torch.nn.Module):
    def forward(self, x):
        return F.elu(x, 2)


inputs = (torch.randn(2, 2),)
print(f"coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    ct.convert(exported.run_decompositions({}), minimum_deployment_target=ct.target.iOS18)
    actual = "it converts"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it converts\nactual:   {actual.splitlines()[0]}")
raise SystemExit("from type domain ['fp16', 'fp32'] but got int32" not in actual)
