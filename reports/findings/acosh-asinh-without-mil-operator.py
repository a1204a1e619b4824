"""The converters of acosh and asinh call MIL operators that do not exist.

MIL has sinh and cosh and the inverse of tanh alone. The two converters are registered, so the operators count as
supported.
"""

import coremltools as ct
import torch


class Module(torch.nn.Module):
    def forward(self, x):
        return torch.acosh(x)


inputs = (torch.rand(3) + 1.5,)
print(f"coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    ct.convert(exported.run_decompositions({}), minimum_deployment_target=ct.target.iOS18)
    actual = "it converts"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it converts\nactual:   {actual.splitlines()[0]}")
raise SystemExit("'Builder' has no attribute 'acosh'" not in actual)
