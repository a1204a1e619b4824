"""Index_put with indices of different shapes does not convert.

PyTorch broadcasts index tensors against each other. The converter's function of index does so; `_handle_int_indices`
of index_put stacks them as they are.
"""

import coremltools as ct
import torch


class Module(torch.nn.Module):
    def forward(self, x, i, j, values):
        return x.index_put((i, j), values)


inputs = (torch.randn(5, 5), torch.arange(3)[:, None], torch.arange(4)[None], torch.randn(3, 4))
print(f"coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    ct.convert(exported.run_decompositions({}), minimum_deployment_target=ct.target.iOS18)
    actual = "it converts"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it converts\nactual:   {actual.splitlines()[0]}")
raise SystemExit("Component tensor" not in actual)
