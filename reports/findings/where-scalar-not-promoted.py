"""Where(condition, 0, x) with an integer scalar does not convert.

The function of where.ScalarSelf hands both branches to MIL's select as they come; that of where.self promotes them to
one type first. hardshrink decomposes to where(|x| <= lambda, 0, x) with the integer 0.
"""

import coremltools as ct
import torch


class Module(torch.nn.Module):
    def forward(self, x):
        return torch.nn.functional.hardshrink(x)


inputs = (torch.randn(3),)
print(f"coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    ct.convert(exported.run_decompositions({}), minimum_deployment_target=ct.target.iOS18)
    actual = "it converts"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it converts\nactual:   {actual.splitlines()[0]}")
raise SystemExit("must have the same data type as the named input" not in actual)
