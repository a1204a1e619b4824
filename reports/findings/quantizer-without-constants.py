"""op_linear_quantizer_config quantizes nothing when constants are left outside of the delegate.

coremltools quantizes the constants of the converted program. With `take_over_constant_data=False` weights are inputs
of it, and nothing says that the configuration is without effect.
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
from executorch.version import __version__ as executorch


def is_quantized(take_over_constant_data: bool) -> bool:
    """Whether the lowered program unpacks a compressed weight."""
    specs = CoreMLBackend.generate_compile_specs(
        minimum_deployment_target=ct.target.iOS18,
        op_linear_quantizer_config={"mode": "linear_symmetric", "dtype": "int8"},
    )
    partitioner = CoreMLPartitioner(compile_specs=specs, take_over_constant_data=take_over_constant_data)
    exported = torch.export.export(torch.nn.Linear(64, 64).eval(), (torch.randn(2, 64),))
    program = to_edge_transform_and_lower(exported, partitioner=[partitioner])
    modules = program.exported_program().graph_module.children()
    processed = next(m.processed_bytes for m in modules if hasattr(m, "processed_bytes"))
    with tempfile.TemporaryDirectory() as folder:
        executorchcoreml.unflatten_directory_contents(processed, folder)
        model = Model_pb2.Model.FromString(next(Path(folder).rglob("*.mlmodel")).read_bytes())
    (function,) = model.mlProgram.functions.values()
    (block,) = function.block_specializations.values()
    return any(op.type.startswith("constexpr_") for op in block.operations)


print(f"executorch {executorch}, coremltools {ct.__version__}, torch {torch.__version__}")
usual, left = is_quantized(True), is_quantized(False)
print("expected: a quantized weight, or a refusal")
print(f"actual:   quantized: {left} with constants left outside, {usual} without")
raise SystemExit((usual, left) != (True, False))
