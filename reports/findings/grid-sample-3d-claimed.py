"""grid_sample of a volume is claimed although MIL samples planes only.

coremltools converts grid_sampler to MIL's resample, which takes rank 4. The partitioner claims the operator by name,
also for rank 5, so the model fails to lower.
"""

import coremltools as ct
import torch
from executorch.backends.apple.coreml.compiler import CoreMLBackend
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower

TELLING = 'to the "resample" op must be a rank 4 tensor'


class Call(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *inputs):
        return self.function(*inputs)


def error_of_lowering(function, *inputs) -> str:
    """The exception of lowering as text, or nothing when it lowers."""
    specs = CoreMLBackend.generate_compile_specs(
        compute_precision=ct.precision.FLOAT32, minimum_deployment_target=ct.target.iOS18
    )
    program = torch.export.export(Call(function).eval(), inputs)
    try:
        to_edge_transform_and_lower(program, partitioner=[CoreMLPartitioner(compile_specs=specs)])
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def main() -> int:
    sample = lambda x, grid: torch.nn.functional.grid_sample(x, grid, align_corners=True)  # noqa: E731
    defective = {
        "volume": (sample, torch.randn(1, 1, 3, 3, 3), torch.randn(1, 2, 2, 2, 3)),
    }
    neighbours = {
        "plane": (sample, torch.randn(1, 1, 3, 3), torch.randn(1, 2, 2, 2)),
    }
    shown = []
    for name, (function, *inputs) in (defective | neighbours).items():
        error = error_of_lowering(function, *inputs)
        print(f"{name}: {error or 'lowers'}")
        if name in defective and TELLING in error:
            shown.append(name)
    print(
        f"shown: rank 5 is claimed, then declined ({', '.join(shown)})"
        if shown
        else "not shown: no call fails this way"
    )
    return 0 if shown else 1


if __name__ == "__main__":
    raise SystemExit(main())
