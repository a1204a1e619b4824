"""upsample given an output size and scales takes its size from the scales.

In the overloads that take both, torch makes an output of output_size and uses the scales to find the samples
only; the converter functions (`upsample_nearest2d` and its siblings,
coremltools/converters/mil/frontend/torch/ops.py) look at output_size only where no scales are given.
"""

import tempfile
from pathlib import Path

import coremltools as ct
import torch
from coremltools.proto import Model_pb2
from executorch.backends.apple.coreml import executorchcoreml
from executorch.backends.apple.coreml.compiler import CoreMLBackend
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower


class Module(torch.nn.Module):
    def forward(self, x):
        return torch.ops.aten.upsample_nearest2d.default(x, [8, 8], 2.0, 2.0)


def declared_shape(module, inputs):
    """What the emitted program declares for its output; prints its operators."""
    specs = CoreMLBackend.generate_compile_specs(
        compute_precision=ct.precision.FLOAT32, minimum_deployment_target=ct.target.iOS18
    )
    program = to_edge_transform_and_lower(
        torch.export.export(module, inputs), partitioner=[CoreMLPartitioner(compile_specs=specs)]
    )
    modules = program.exported_program().graph_module.children()
    processed = next(m.processed_bytes for m in modules if hasattr(m, "processed_bytes"))
    with tempfile.TemporaryDirectory() as folder:
        executorchcoreml.unflatten_directory_contents(processed, folder)
        model = Model_pb2.Model.FromString(next(Path(folder).rglob("*.mlmodel")).read_bytes())
    block = next(iter(model.mlProgram.functions["main"].block_specializations.values()))
    shapes = {}
    for op in block.operations:
        for out in op.outputs:
            shapes[out.name] = [d.constant.size for d in out.type.tensorType.dimensions]
            if op.type != "const":
                print(f"  {op.type} -> {shapes[out.name]}")
    return shapes[block.outputs[0]]


def main() -> int:
    inputs = (torch.randn(1, 1, 5, 5),)
    module = Module().eval()
    expected = list(module(*inputs).shape)
    print("emitted:")
    got = declared_shape(module, inputs)
    print(f"eager   {expected}\ngot     {got}")
    if got != expected:
        print("shown: the output size given was not used")
        return 0
    print("not shown: the shapes agree")
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
