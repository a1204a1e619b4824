"""Repeat and tile by 0, whose result is empty, do not convert.

The converter passes the counts on to MIL's tile, which takes counts above 0; the empty result is known at conversion.
"""

import coremltools as ct
import torch


class Module(torch.nn.Module):
    def forward(self, x):
        return x.repeat(0)


inputs = (torch.randn(2),)
print(f"coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    ct.convert(exported.run_decompositions({}), minimum_deployment_target=ct.target.iOS18)
    actual = "it converts"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it converts\nactual:   {actual.splitlines()[0]}")
raise SystemExit("All entries of reps parameter must be greater than 0" not in actual)
