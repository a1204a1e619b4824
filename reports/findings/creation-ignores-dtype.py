"""full_like, new_full, fill, scalar_tensor and linspace ignore the type of their result.

`dtype` is a keyword-only argument that these converter functions
(coremltools/converters/mil/frontend/torch/ops.py) do not read, nor the type of the tensor that is filled:
torch.full_like(x, 2.7, dtype=torch.int32) fills with 2.7 instead of 2, and what follows in the same program
computes with the fraction.
"""

import json
import sys
import tempfile
from pathlib import Path

import coremltools as ct
import numpy as np
import torch
from coremltools.proto import Model_pb2
from executorch.backends.apple.coreml import executorchcoreml
from executorch.backends.apple.coreml.compiler import CoreMLBackend
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower

FLOAT = np.float32
#: The emitted operators as coremltools documents them.
FORMULAS = {
    "fill_like": lambda ref_tensor, value: np.full(ref_tensor.shape, value),
    "mul": lambda x, y: x * y,
}


class Module(torch.nn.Module):
    def forward(self, x):
        return torch.full_like(x, 2.7, dtype=torch.int32).to(torch.float32) * x


def lower(module, inputs):
    specs = CoreMLBackend.generate_compile_specs(
        compute_precision=ct.precision.FLOAT32, minimum_deployment_target=ct.target.iOS18
    )
    program = to_edge_transform_and_lower(
        torch.export.export(module, inputs), partitioner=[CoreMLPartitioner(compile_specs=specs)]
    )
    modules = program.exported_program().graph_module.children()
    return next(m.processed_bytes for m in modules if hasattr(m, "processed_bytes"))


def rounded(value):
    value = np.asarray(value)
    return value.astype(FLOAT) if value.dtype.kind == "f" else value


def constant(value):
    tensor = value.immediateValue.tensor
    found = getattr(tensor, tensor.WhichOneof("value")).values
    found = np.frombuffer(found, np.float16) if isinstance(found, bytes) else np.array(found)
    return rounded(found.reshape([d.constant.size for d in value.type.tensorType.dimensions]))


def run(processed, inputs):
    """The emitted program by the formulas above; on macOS also by Core ML, which then has the last word."""
    with tempfile.TemporaryDirectory() as folder:
        executorchcoreml.unflatten_directory_contents(processed, folder)
        root = Path(folder, "lowered_module")
        names = json.loads((root / "metadata.json").read_text())["inputNames"]
        values = {name: np.asarray(x) for name, x in zip(names, inputs, strict=True)}
        model = Model_pb2.Model.FromString(next(root.rglob("*.mlmodel")).read_bytes())
        predicted = None
        if sys.platform == "darwin":
            runner = ct.models.MLModel(str(root / "model.mlpackage"), compute_units=ct.ComputeUnit.CPU_ONLY)
            predicted = next(iter(runner.predict(dict(values)).values()))
    block = next(iter(model.mlProgram.functions["main"].block_specializations.values()))
    for op in block.operations:
        if op.type == "const":
            values[op.outputs[0].name] = constant(op.attributes["val"])
            continue
        given = {key: values[bound.arguments[0].name] for key, bound in op.inputs.items()}
        values[op.outputs[0].name] = rounded(FORMULAS[op.type](**given))
        small = {key: value.tolist() for key, value in given.items() if value.size == 1 or value.dtype.kind == "U"}
        print(f"  {op.outputs[0].name} = {op.type} {small or ''}")
    return values[block.outputs[0]] if predicted is None else predicted


def main() -> int:
    inputs = (torch.tensor([1.0, 2.0, 3.0]),)
    expected = Module()(*inputs).numpy()
    print("emitted:")
    with np.errstate(all="ignore"):
        got = run(lower(Module().eval(), inputs), inputs)
    print(f"eager   {np.ravel(expected)}\ngot     {np.ravel(got)}")
    if not np.allclose(got, expected, rtol=1e-5, atol=0, equal_nan=True):
        print("shown: the fill value is not converted to the type asked for")
        return 0
    print("not shown: the results agree")
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
