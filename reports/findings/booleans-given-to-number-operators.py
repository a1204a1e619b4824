"""Boolean tensors reach MIL operators that take numbers only.

gather_along_axis and real_div are declared for floats and integers. The converter hands booleans on as they come, and
the partitioner, which asks for the name of the operator only, has claimed it.
"""

import coremltools as ct
import torch


class Module(torch.nn.Module):
    def forward(self, x):
        return torch.ops.aten.col2im(x, [4, 6], [2, 3], [1, 1], [0, 0], [2, 3])


inputs = (torch.ones(1, 12, 4) > 0,)
print(f"coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    ct.convert(exported.run_decompositions({}), minimum_deployment_target=ct.target.iOS18)
    actual = "it converts"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it converts\nactual:   {actual.splitlines()[0]}")
raise SystemExit("bool]" not in actual)
