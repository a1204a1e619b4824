"""Clamp by a constant tensor of several elements does not convert.

The converter evaluates `min >= max` in an `if` as soon as both bounds have a value. For a tensor bound that is an
array, whose truth value NumPy refuses. A bound left out counts as a constant here, so one constant tensor is enough.
"""

import coremltools as ct
import torch


class Module(torch.nn.Module):
    def forward(self, x):
        return torch.clamp(x, torch.tensor([0.1, 0.2]))


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
raise SystemExit("The truth value of an array with more than one element is ambiguous" not in actual)
