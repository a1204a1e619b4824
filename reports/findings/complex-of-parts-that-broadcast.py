"""Torch.complex of parts of different shapes is claimed.

MIL's complex wants parts of one shape, and the converter hands on what it is given.
"""

import coremltools as ct
import torch


class Module(torch.nn.Module):
    def forward(self, x, y):
        return torch.complex(x, y).real


inputs = (torch.ones(2, 3), torch.ones(2, 1))
print(f"coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    ct.convert(exported.run_decompositions({}), minimum_deployment_target=ct.target.iOS18)
    actual = "it converts"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it converts\nactual:   {actual.splitlines()[0]}")
raise SystemExit("must match to construct complex data" not in actual)
