"""The 0-norm of floats becomes an int32.

For ord 0 _vector_norm sums x != 0 as int32 and does not cast back, though PyTorch returns the dtype of x; clamp_min
then asserts that its operands have one dtype.
"""

import traceback

import coremltools as ct
import torch
import torch.nn.functional as F


class Module(torch.nn.Module):
    def forward(self, x):
        return F.normalize(x, p=0.0)


inputs = (torch.ones(2, 3),)
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
