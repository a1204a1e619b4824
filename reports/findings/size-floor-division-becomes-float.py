"""x[:, : x.shape[1] // 2] does not convert with a dynamic dimension.

The converter of floor_divide, which `operator.floordiv` on a symbolic size shares, casts its result to fp32; as the
end of a slice it meets integers in a concat.
"""

import coremltools as ct
import torch


class Half(torch.nn.Module):
    def forward(self, x):
        return x[:, : x.shape[1] // 2]


class Reshaped(torch.nn.Module):
    def forward(self, x):
        return x.reshape(2, 2, -1, 4)[:, 0]


def outcome(module, dim) -> str:
    exported = torch.export.export(module, (torch.randn(2, 6, 4),), dynamic_shapes=({1: dim},))
    try:
        ct.convert(exported.run_decompositions({}), minimum_deployment_target=ct.target.iOS18, skip_model_load=True)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "a program"


print(f"coremltools {ct.__version__}, torch {torch.__version__}")
found = outcome(Half(), torch.export.Dim.AUTO(min=4, max=16))
print(f"expected: a program\nactual:   {found}")
reshaped = outcome(Reshaped(), 2 * torch.export.Dim("half", min=2, max=8))
print(f"reshaped, of an even size: {reshaped}")
raise SystemExit("should share the same data type" not in found or reshaped != "a program")
