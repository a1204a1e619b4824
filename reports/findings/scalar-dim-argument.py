"""Dim 0 or -1 of a rank-0 tensor is taken for an axis.

PyTorch lets dim 0 and -1 name the one imaginary dimension of a rank-0 tensor. The converter functions hand the dim on
as an axis, or index the shape with it, without regard to rank 0; the type inference of the MIL operator then pops
from, or assigns into, an empty shape, or, as that of cumsum, finds no axis that it could accept.
"""

import coremltools as ct
import torch


class Module(torch.nn.Module):
    def forward(self, x):
        return torch.sum(x, -1)


inputs = (torch.tensor(2.0),)
print(f"coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    ct.convert(exported.run_decompositions({}), minimum_deployment_target=ct.target.iOS18)
    actual = "it converts"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it converts\nactual:   {actual.splitlines()[0]}")
raise SystemExit("IndexError: pop from empty list" not in actual)
