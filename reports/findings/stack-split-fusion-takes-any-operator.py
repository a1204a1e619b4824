"""A stack taken apart again fails to convert unless squeezed.

The pass common::fuse_stack_split is for squeezed pieces. Where a piece has another consumer it sets a variable that
nothing reads, goes on, and asks the consumer for the axes of a squeeze.
"""

import coremltools as ct
import torch


class Module(torch.nn.Module):
    def forward(self, x, y):
        first, second = torch.stack([x, y]).split(1)
        return torch.relu(first), torch.tanh(second)


inputs = (torch.randn(2, 3), torch.randn(2, 3))
print(f"coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    ct.convert(exported.run_decompositions({}), minimum_deployment_target=ct.target.iOS18)
    actual = "it converts"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: a program\nactual:   {actual.splitlines()[0]}")
raise SystemExit("object has no attribute 'axes'" not in actual)
