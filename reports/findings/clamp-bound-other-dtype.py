"""Clamp_min and clamp_max assert that the bound has the dtype of the tensor.

The number 0 becomes an int32 constant. clamp_min and clamp_max assert x.dtype == y.dtype, without a message, where
minimum and maximum beside them promote.
"""

import traceback

import coremltools as ct
import torch


class Module(torch.nn.Module):
    def forward(self, x):
        return torch.clamp_min(x, 0)


inputs = (torch.ones(3),)
print(f"coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    ct.convert(exported.run_decompositions({}), minimum_deployment_target=ct.target.iOS18)
    actual = "it converts"
except Exception as error:
    actual = f"{type(error).__name__}: {traceback.extract_tb(error.__traceback__)[-1].line}"
print(f"expected: it converts\nactual:   {actual.splitlines()[0]}")
raise SystemExit("assert " not in actual)
