"""Prelu expands axis 2 of a scalar.

MIL prelu wants rank 3, so axes are added first, [1, 2] for rank 1 and else [2]. The else branch is meant for rank 2
and is taken for rank 0 too.
"""

import coremltools as ct
import torch
import torch.nn.functional as F


class Module(torch.nn.Module):
    def forward(self, x):
        return F.prelu(x, torch.full((), 0.25))


inputs = (torch.tensor(-2.0),)
print(f"coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    ct.convert(exported.run_decompositions({}), minimum_deployment_target=ct.target.iOS18)
    actual = "it converts"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it converts\nactual:   {actual.splitlines()[0]}")
raise SystemExit("out of bounds for expand_dims" not in actual)
