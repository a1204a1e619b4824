"""The pass fuse_reduce_mean puts a mean in place of a quotient of another shape.

The pass compares the value of the divisor with the count and not its shape. A sum of shape () divided by a constant
of shape (1,) has shape (1,); the reduce_mean that replaces it has shape ().
"""

import coremltools as ct
import torch


class Module(torch.nn.Module):
    def forward(self, x):
        return torch.sqrt(x.sum(0) / torch.tensor([3.0]))


inputs = (torch.rand(3),)
print(f"coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    ct.convert(exported.run_decompositions({}), minimum_deployment_target=ct.target.iOS18)
    actual = "it converts"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it converts\nactual:   {actual.splitlines()[0]}")
raise SystemExit("doesn't have compatible subtype of existing var" not in actual)
