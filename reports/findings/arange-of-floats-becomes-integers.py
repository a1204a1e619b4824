"""Arange with dtype=torch.float32 and whole bounds becomes a range of int32.

dtype is a keyword-only argument, which torch.export leaves among the keyword arguments of the node; the converter
reads the bounds and the step and makes a range_1d of them, whose dtype is theirs. Arithmetic with floats promotes the
integers, so that it shows only where an operator takes the range by itself.
"""

import coremltools as ct
import torch


class Module(torch.nn.Module):
    def forward(self, x):
        return x + torch.arange(5, dtype=torch.float32).sin()


inputs = (torch.randn(5),)
print(f"coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    ct.convert(exported.run_decompositions({}), minimum_deployment_target=ct.target.iOS18)
    actual = "it converts"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it converts\nactual:   {actual.splitlines()[0]}")
raise SystemExit("from type domain ['fp16', 'fp32'] but got tensor[5,int32]" not in actual)
