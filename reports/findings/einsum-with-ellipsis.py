"""Einsum with an ellipsis does not convert.

The converter takes an equation apart character by character, so each dot is a dimension of its own, and a tensor of
rank 3 is permuted as one of rank 4.
"""

import coremltools as ct
import torch


class Module(torch.nn.Module):
    def forward(self, x, weight):
        return torch.einsum("...d,ed->...e", x, weight)


inputs = (torch.randn(2, 6, 16), torch.randn(5, 16))
print(f"coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    ct.convert(exported.run_decompositions({}), minimum_deployment_target=ct.target.iOS18)
    actual = "it converts"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it converts\nactual:   {actual.splitlines()[0]}")
raise SystemExit("perm should have the same length as rank" not in actual)
