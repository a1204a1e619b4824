"""Upsample_nearest2d given one of its two scales samples by the output size.

PyTorch makes an output of output_size and finds the samples of a dimension by its scale where that is given. The
converter uses the scales only where both are, and computes both from the sizes otherwise.
"""

import coremltools as ct
import torch


class Module(torch.nn.Module):
    def forward(self, x):
        return torch.ops.aten.upsample_nearest2d.default(x, [2, 2], 2.0, None)


inputs = (torch.arange(16.0).reshape(1, 1, 4, 4),)
print(f"coremltools {ct.__version__}, torch {torch.__version__}")
exported = torch.export.export(Module().eval(), inputs).run_decompositions({})
model = ct.convert(exported, compute_precision=ct.precision.FLOAT32, minimum_deployment_target=ct.target.iOS18)
(op,) = (op for op in model._mil_program.functions["main"].operations if op.op_type == "upsample_nearest_neighbor")
factor = float(op.scale_factor_height.val)
rows = Module()(*inputs)[0, 0, :, 0] / 4
print(f"rows that PyTorch takes, scale 2 asked for: {rows.int().tolist()}")
print(f"rows that the program takes, by a factor of {factor:.2f}: {[int(i / factor + 1e-3) for i in range(2)]}")
raise SystemExit(abs(factor - 2.0) < 0.01)
