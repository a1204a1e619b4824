"""Second and third results of pooling, normalisation and dropout are not bound.

max_pool1d (which serves all max_pool*_with_indices), layer_norm, native_group_norm and batch_norm without training
bind the tuple (result, None, ...), adaptive_max_pool1d and batch_norm in training bind the bare first result,
native_dropout a tuple of one. The getitem for any other result then asserts or leaves the tuple. The partitioner
claims all of these nodes.
"""

import coremltools as ct
import torch
import torch.nn.functional as F


class Module(torch.nn.Module):
    def forward(self, x):
        return F.max_pool2d(x, 2, 2, return_indices=True)


inputs = (torch.ones(1, 1, 4, 4),)
print(f"coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    ct.convert(exported.run_decompositions({}), minimum_deployment_target=ct.target.iOS18)
    actual = "it converts"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it converts\nactual:   {actual.splitlines()[0]}")
raise SystemExit("coremltools lowering does not handle/bind value" not in actual)
