"""Embedding_4bit with one scale a row does not convert.

ExecuTorch's operator takes scales of shape (rows,) as well as (rows, groups). The function says that a scale of rank
1 belongs to the last axis, the one of the embedding's width, and its length does not fit there.
"""

import coremltools as ct
import torch

scale = torch.full((10,), 0.1)
weight = torch.randint(0, 256, (10, 4), dtype=torch.uint8)
lookup = torch.ops.quantized_decomposed.embedding_4bit


class Module(torch.nn.Module):
    def forward(self, i):
        return lookup(weight.clone(), scale.clone(), None, -8, 7, i)


inputs = (torch.tensor([0, 3]),)
print(f"coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    ct.convert(exported.run_decompositions({}), minimum_deployment_target=ct.target.iOS18)
    actual = "it converts"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it converts\nactual:   {actual.splitlines()[0]}")
raise SystemExit("Unable to infer scale's shape" not in actual)
