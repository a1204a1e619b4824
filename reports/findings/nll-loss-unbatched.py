"""Nll_loss reads shape[1] of a vector.

PyTorch takes log-probabilities of shape (C,) with a target of shape (). The converter takes shape[0] for the batch
and shape[1] for the classes.
"""

import coremltools as ct
import torch


class Module(torch.nn.Module):
    def forward(self, x, target):
        return torch.ops.aten.nll_loss_nd(x, target, None, 1, 1)


inputs = (torch.ones(3), torch.tensor(0))
print(f"coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    ct.convert(exported.run_decompositions({}), minimum_deployment_target=ct.target.iOS18)
    actual = "it converts"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it converts\nactual:   {actual.splitlines()[0]}")
raise SystemExit("IndexError: tuple index out of range" not in actual)
