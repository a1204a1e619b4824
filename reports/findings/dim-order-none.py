"""_clone_dim_order is taken to have a dim_order always.

ExecuTorch's own function for the operator takes dim_order out of the keyword arguments without asking for it; where
none is given, there are no keyword arguments at all. The passes that put this operator in always give one.
"""

import coremltools as ct
import torch


class Module(torch.nn.Module):
    def forward(self, x):
        return torch.ops.dim_order_ops._clone_dim_order(x, dim_order=None)


inputs = (torch.randn(2, 3),)
print(f"coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    ct.convert(exported.run_decompositions({}), minimum_deployment_target=ct.target.iOS18)
    actual = "it converts"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it converts\nactual:   {actual}")
raise SystemExit("'NoneType' object has no attribute 'pop'" not in actual)
