"""Where and expand of 0-dimensional tensors do not convert.

`pymil_broadcast_tensors` and `pymil_broadcast_to` make the shape of the result by `mb.concat` of its dimensions. A
0-dimensional result has none, and concat refuses an empty list; there is nothing to broadcast in this case. Many
functions decompose to where: celu, logaddexp, xlogy, lerp, the masked reductions.
"""

import coremltools as ct
import torch

x = torch.tensor(1.5)


class Module(torch.nn.Module):
    def forward(self, x, y, z):
        return torch.where(x, y, z)


inputs = (torch.tensor(True), x, x)
print(f"coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    ct.convert(exported.run_decompositions({}), minimum_deployment_target=ct.target.iOS18)
    actual = "it converts"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it converts\nactual:   {actual.splitlines()[0]}")
raise SystemExit("got 0 values" not in actual)
