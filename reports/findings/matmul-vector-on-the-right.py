"""Type inference of matmul fails for a vector on the right.

MIL matmul documents the rules of numpy for rank 1; its type inference reads y_shape[-2] before it promotes y, and the
converter does not promote either.
"""

import coremltools as ct
import torch


class Module(torch.nn.Module):
    def forward(self, x, y):
        return torch.matmul(x, y)


inputs = (torch.ones(2, 3), torch.ones(3))
print(f"coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    ct.convert(exported.run_decompositions({}), minimum_deployment_target=ct.target.iOS18)
    actual = "it converts"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it converts\nactual:   {actual.splitlines()[0]}")
raise SystemExit("IndexError: list index out of range" not in actual)
