"""A number added to a Linear of one output does not convert.

The pass that folds an addition into the bias of a linear layer takes two constants for alike where they have as many
elements. A scalar has one, as the bias of one output, and no last dimension, which is asked for next.
"""

import coremltools as ct
import torch

layer = torch.nn.Linear(4, 1)


class Module(torch.nn.Module):
    def forward(self, x):
        return layer(x) + 0.5


inputs = (torch.ones(2, 4),)
print(f"coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    ct.convert(exported.run_decompositions({}), minimum_deployment_target=ct.target.iOS18)
    actual = "it converts"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it converts\nactual:   {actual.splitlines()[0]}")
raise SystemExit("tuple index out of range" not in actual)
