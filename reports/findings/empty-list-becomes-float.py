"""An empty list of axes or sizes becomes a float constant.

A list argument becomes `mb.const(val=[])`. NumPy makes an empty list float64, hence an fp32 constant of no element,
where the MIL operator takes int32. torch.full was given a conversion of its own for this; the constants are still
made so everywhere else. tile prepends integer ones to such a list, where concat refuses the mixture.
"""

import coremltools as ct
import torch


class Module(torch.nn.Module):
    def forward(self, x):
        return x.permute(())


inputs = (torch.tensor(1.5),)
print(f"coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    ct.convert(exported.run_decompositions({}), minimum_deployment_target=ct.target.iOS18)
    actual = "it converts"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it converts\nactual:   {actual.splitlines()[0]}")
raise SystemExit("got tensor[0,fp32]" not in actual)
