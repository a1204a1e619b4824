"""In fp16 an int16 output is declared as int16 and refused.

For fp16 the converter declares every output, floats as fp16 and everything else with the dtype it has. int16 is no
dtype of an output. Without the declaration, as in fp32, it becomes int32.
"""

import coremltools as ct
import torch


class Module(torch.nn.Module):
    def forward(self, x):
        return x.to(torch.int16)


inputs = (torch.ones(3),)
print(f"coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    ct.convert(exported.run_decompositions({}), minimum_deployment_target=ct.target.iOS18)
    actual = "it converts"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it converts\nactual:   {actual.splitlines()[0]}")
raise SystemExit("make_int" not in actual)
