"""Dim.AUTO(min=1) gives a range that begins at 2.

torch.export compiles sizes 0 and 1 apart from others, so that a symbol it makes itself begins at 2. The bounds of a
hint narrow that range and do not widen it. coremltools makes the input's range of the symbol's.
"""

import coremltools as ct
import torch
from torch.export import Dim


class Double(torch.nn.Module):
    def forward(self, x):
        return x * 2


def lowest(dim) -> int:
    """The smallest batch that the converted model takes."""
    exported = torch.export.export(Double(), (torch.randn(4, 3),), dynamic_shapes=({0: dim},))
    model = ct.convert(exported.run_decompositions({}), minimum_deployment_target=ct.target.iOS18)
    (taken,) = model.get_spec().description.input
    return taken.type.multiArrayType.shapeRange.sizeRanges[0].lowerBound


print(f"coremltools {ct.__version__}, torch {torch.__version__}")
named, hinted = lowest(Dim("batch", min=1, max=8)), lowest(Dim.AUTO(min=1, max=8))
print(f'expected: from 1, as with Dim("batch", min=1, max=8): from {named}\nactual:   from {hinted}')
raise SystemExit((named, hinted) != (1, 2))
