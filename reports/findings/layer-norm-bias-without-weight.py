"""Layer_norm checks the shape of beta by gamma, which may be absent.

Where beta is given, type inference tests the shape of gamma instead (the message that follows names beta); gamma is
optional and None here.
"""

import coremltools as ct
import torch
import torch.nn.functional as F


class Module(torch.nn.Module):
    def forward(self, x):
        return F.layer_norm(x, (3,), None, torch.ones(3))


inputs = (torch.ones(2, 3),)
print(f"coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    ct.convert(exported.run_decompositions({}), minimum_deployment_target=ct.target.iOS18)
    actual = "it converts"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it converts\nactual:   {actual.splitlines()[0]}")
raise SystemExit("'NoneType' object has no attribute 'shape'" not in actual)
