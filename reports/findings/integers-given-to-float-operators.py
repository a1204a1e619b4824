"""Integer tensors reach MIL operators that take floats only.

The functions of the converter hand x on as it comes. MIL's operators of these names are declared for fp16 and fp32;
no cast is inserted before them, nor one back after those whose result PyTorch keeps an integer. log shows that it can
be done: it casts. The partitioner asks for the name of the operator and does not look at dtypes, so ExecuTorch's own
kernels, which take integers, are not used either.
"""

import coremltools as ct
import torch

x = torch.tensor([[[1, 2, 3]]], dtype=torch.int32)


class Module(torch.nn.Module):
    def forward(self, x):
        return torch.exp(x)


inputs = (x,)
print(f"coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    ct.convert(exported.run_decompositions({}), minimum_deployment_target=ct.target.iOS18)
    actual = "it converts"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it converts\nactual:   {actual.splitlines()[0]}")
raise SystemExit("from type domain ['fp16', 'fp32'] but got tensor[" not in actual)
