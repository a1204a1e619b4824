"""Scaled_dot_product_attention with enable_gqa does not convert.

The converter does not read enable_gqa, a keyword, and hands query, key and value on as they are. MIL's attention, and
the products it is taken apart into below iOS18, ask for equal or broadcast heads.
"""

import coremltools as ct
import torch
import torch.nn.functional as F


class Module(torch.nn.Module):
    def forward(self, query, key):
        return F.scaled_dot_product_attention(query, key, key, enable_gqa=True)


inputs = (torch.randn(1, 4, 6, 8), torch.randn(1, 2, 6, 8))
print(f"coremltools {ct.__version__}, torch {torch.__version__}")
Module().eval()(*inputs)
exported = torch.export.export(Module().eval(), inputs)
try:
    ct.convert(exported.run_decompositions({}), minimum_deployment_target=ct.target.iOS18)
    actual = "it converts"
except Exception as error:
    actual = f"{type(error).__name__}: {error}"
print(f"expected: it converts\nactual:   {actual.splitlines()[0]}")
raise SystemExit("must have a same batch dimension" not in actual)
