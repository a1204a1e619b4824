"""A sum times a factor becomes the mean when the factor is within 1e-6 of one over the count.

coremltools' pass fuse_reduce_mean replaces reduce_sum followed by mul by reduce_mean where the factor equals 1 / count
up to an absolute tolerance of 1e-6. For a thousand elements and more that is no small tolerance: sum / (n - 1), the
unbiased variance among them, becomes the mean, and for a million elements any factor below 2e-6 does, also one that is
half as large again.
"""

import pathlib
import tempfile

import coremltools as ct
import torch
from coremltools.proto import Model_pb2
from executorch.backends.apple.coreml import executorchcoreml
from executorch.backends.apple.coreml.compiler import CoreMLBackend
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower


class ScaledSum(torch.nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x):
        return x.sum(0) * self.factor


def emitted_operators(model, x) -> list[str]:
    """Types of the operators of the lowered program, constants left out."""
    specs = CoreMLBackend.generate_compile_specs(
        compute_precision=ct.precision.FLOAT32, minimum_deployment_target=ct.target.iOS18
    )
    program = torch.export.export(model.eval(), (x,))
    lowered = to_edge_transform_and_lower(program, partitioner=[CoreMLPartitioner(compile_specs=specs)])
    graph_module = lowered.exported_program().graph_module
    (processed,) = [child.processed_bytes for child in graph_module.children() if hasattr(child, "processed_bytes")]
    with tempfile.TemporaryDirectory() as folder:
        executorchcoreml.unflatten_directory_contents(processed, folder)
        spec = Model_pb2.Model.FromString(next(pathlib.Path(folder).rglob("model.mlmodel")).read_bytes())
    (function,) = spec.mlProgram.functions.values()
    (block,) = function.block_specializations.values()
    return [operation.type for operation in block.operations if operation.type != "const"]


def main() -> int:
    worst = 0.0
    for count, factor in ((512, 1 / 511), (2048, 1 / 2047), (1_000_000, 1.5e-6)):
        model, x = ScaledSum(factor), torch.ones(count)
        eager, operators = model(x).item(), emitted_operators(model, x)
        # reduce_mean of ones is 1 by its documentation
        error = abs(1 - eager) / eager if operators == ["reduce_mean"] else 0.0
        print(
            f"{count} ones times {factor:.4g}: PyTorch {eager:.6g}, emitted {', '.join(operators)}, error {error:.2g}"
        )
        worst = max(worst, error)
    print(f"shown: the mean is emitted, off by {worst:.0%}" if worst else "not shown: the factor is kept")
    return 0 if worst else 1


if __name__ == "__main__":
    raise SystemExit(main())
