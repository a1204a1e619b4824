"""Nll_loss with class weights does not convert.

The partitioner keeps nll_loss whole, and the converter's function of it knows no weights. PyTorch's decomposition
does not run.
"""

import coremltools as ct
import torch


class Module(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.NLLLoss(torch.tensor([0.5, 1.0, 2.0]), ignore_index=-1)

    def forward(self, x, target):
        return self.layer(x, target)


inputs = (torch.randn(2, 3), torch.tensor([0, 2]))
print(f"coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    ct.convert(exported.run_decompositions({}), minimum_deployment_target=ct.target.iOS18)
    actual = "it converts"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it converts\nactual:   {actual.splitlines()[0]}")
raise SystemExit("Only unity weight" not in actual)
