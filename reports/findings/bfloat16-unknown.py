"""Bfloat16 has no entry in the tables of dtypes.

TORCH_DTYPE_TO_NUM (dtype arguments) and TORCH_DTYPE_TO_MIL_DTYPE (inputs) do not know bfloat16, and are read without
a check; the partitioner does not look at dtypes.
"""

import coremltools as ct
import torch


class Module(torch.nn.Module):
    def forward(self, x):
        return x.to(torch.bfloat16)


inputs = (torch.ones(3),)
print(f"coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    ct.convert(exported.run_decompositions({}), minimum_deployment_target=ct.target.iOS18)
    actual = "it converts"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it converts\nactual:   {actual.splitlines()[0]}")
raise SystemExit("KeyError: torch.bfloat16" not in actual)
