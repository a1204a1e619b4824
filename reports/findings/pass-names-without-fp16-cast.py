"""Passes given by name leave FLOAT16 out unless add_fp16_cast is among them.

The precision is a pass of the pipeline that coremltools makes itself. ExecuTorch hands the names on as a pipeline of
their own, in which nothing else stands.
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


def dtype_of_linear(pass_names) -> str:
    """The data type in which the lowered program has its linear layer."""
    specs = CoreMLBackend.generate_compile_specs(
        compute_precision=ct.precision.FLOAT16, minimum_deployment_target=ct.target.iOS18, pass_names=pass_names
    )
    exported = torch.export.export(torch.nn.Linear(4, 3).eval(), (torch.randn(2, 4),))
    program = to_edge_transform_and_lower(exported, partitioner=[CoreMLPartitioner(compile_specs=specs)])
    modules = program.exported_program().graph_module.children()
    processed = next(m.processed_bytes for m in modules if hasattr(m, "processed_bytes"))
    with tempfile.TemporaryDirectory() as folder:
        executorchcoreml.unflatten_directory_contents(processed, folder)
        model = Model_pb2.Model.FromString(next(Path(folder).rglob("*.mlmodel")).read_bytes())
    (function,) = model.mlProgram.functions.values()
    (block,) = function.block_specializations.values()
    (linear,) = (op for op in block.operations if op.type == "linear")
    kind = linear.outputs[0].type.tensorType
    return kind.DESCRIPTOR.fields_by_name["dataType"].enum_type.values_by_number[kind.dataType].name


print(f"executorch {executorch}, coremltools {ct.__version__}, torch {torch.__version__}")
usual, named = dtype_of_linear(None), dtype_of_linear(["common::const_elimination"])
print(f"expected: the linear layer in FLOAT16\nactual:   {named} with pass_names, {usual} without")
raise SystemExit((usual, named) != ("FLOAT16", "FLOAT32"))
