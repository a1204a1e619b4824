"""The pass add_int16_cast fails on an empty constant.

The pass looks at the smallest and the largest element of an int32 constant to choose between int16 and uint16; an
empty constant has neither. It runs for compute precision fp16 only, the same model lowers in fp32. roll of an empty
tensor builds such a constant.
"""

import coremltools as ct
import torch


class Module(torch.nn.Module):
    def forward(self, x):
        return torch.roll(x, [1], [0])


inputs = (torch.randn(0, 3),)
print(f"coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    ct.convert(exported.run_decompositions({}), minimum_deployment_target=ct.target.iOS18)
    actual = "it converts"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it converts\nactual:   {actual.splitlines()[0]}")
raise SystemExit("zero-size array to reduction operation minimum" not in actual)
