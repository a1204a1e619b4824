"""Repeat_interleave converts with equal repeats only.

The converter tiles by one number; it says that a tensor of different repeats is not implemented.
"""

import coremltools as ct
import torch


class Module(torch.nn.Module):
    def forward(self, x):
        return torch.repeat_interleave(x, torch.tensor([2, 1]), dim=0, output_size=3)


inputs = (torch.randn(2, 3),)
print(f"coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    ct.convert(exported.run_decompositions({}), minimum_deployment_target=ct.target.iOS18)
    actual = "it converts"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it converts\nactual:   {actual.splitlines()[0]}")
raise SystemExit("repeat_interleave with Tensor repeats has not been implemented" not in actual)
