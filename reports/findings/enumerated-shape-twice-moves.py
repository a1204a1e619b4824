"""Of two inputs with enumerated shapes, the one with its first shape twice loses the order that ties them together.

`_add_multiarray_ndshape_enumeration_for_feature` inserts every shape equal to the default one, which is the first, at
the front: those between move on by one, in this input alone.
"""

import coremltools as ct
import torch


class Both(torch.nn.Module):
    def forward(self, x, y):
        return x.sum() + y


X, Y = [(4, 6), (2, 6), (4, 6)], [(5, 6), (3, 6), (7, 6)]
hint = {0: torch.export.Dim.AUTO(min=1, max=9)}
exported = torch.export.export(Both(), (torch.randn(4, 6), torch.randn(5, 6)), dynamic_shapes=(hint, hint))
model = ct.convert(
    exported.run_decompositions({}),
    inputs=[ct.TensorType("x", ct.EnumeratedShapes(X)), ct.TensorType("y", ct.EnumeratedShapes(Y))],
    minimum_deployment_target=ct.target.iOS18,
    skip_model_load=True,
)
inputs = model.get_spec().description.input
shapes = [[tuple(shape.shape) for shape in one.type.multiArrayType.enumeratedShapes.shapes] for one in inputs]
print(f"coremltools {ct.__version__}, torch {torch.__version__}")
print(f"expected: {list(zip(X, Y, strict=True))}\nactual:   {list(zip(*shapes, strict=True))}")
raise SystemExit(shapes != [[(4, 6), (4, 6), (2, 6)], Y])
