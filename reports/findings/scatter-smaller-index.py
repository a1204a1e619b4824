"""Scatter_along_axis asserts an index as large as the input.

PyTorch wants index.size(d) <= input.size(d) and leaves the rest alone. MIL scatter_along_axis asserts equality,
without a message, and the converter passes the tensors on as they are.
"""

import traceback

import coremltools as ct
import torch


class Module(torch.nn.Module):
    def forward(self, x, index, y):
        return x.scatter_add(1, index, y)


inputs = (torch.ones(4, 3), torch.zeros(2, 3, dtype=torch.int64), torch.ones(2, 3))
print(f"coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    ct.convert(exported.run_decompositions({}), minimum_deployment_target=ct.target.iOS18)
    actual = "it converts"
except Exception as error:
    actual = f"{type(error).__name__}: {traceback.extract_tb(error.__traceback__)[-1].line}"
print(f"expected: it converts\nactual:   {actual.splitlines()[0]}")
raise SystemExit("assert " not in actual)
