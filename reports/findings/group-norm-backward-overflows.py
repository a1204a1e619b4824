"""The gradient of group_norm is NaN in fp16 where a gradient times an input is above 65504.

torch decomposes native_group_norm_backward into sums of grad * x, which are scaled by 1 / (n * std) only afterwards;
with every float widened the program is right.
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

FLOAT = np.float16
#: The emitted operators as coremltools documents them.
FORMULAS = {
    "cast": lambda x, dtype: x.astype({"fp16": np.float16, "fp32": np.float32}[str(dtype)]),
    "mul": lambda x, y: x * y,
    "sub": lambda x, y: x - y,
    "add": lambda x, y: x + y,
    "reduce_sum": lambda x, axes, keep_dims: x.sum(tuple(axes), keepdims=bool(keep_dims)),
    "expand_dims": lambda x, axes: np.expand_dims(x, tuple(axes)),
    "reshape": lambda x, shape: x.reshape(shape),
}


class Module(torch.nn.Module):
    def forward(self, grad, x, rstd, mean):
        grads = torch.ops.aten.native_group_norm_backward.default(
            grad, x, mean, rstd, None, 1, 2, 3, 1, [True, False, False]
        )
        return grads[0]


def lower(module, inputs):
    specs = CoreMLBackend.generate_compile_specs(
        compute_precision=ct.precision.FLOAT16, minimum_deployment_target=ct.target.iOS18
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
    inputs = (
        torch.tensor([[[300.0, 10.0, 0.0], [1.0, -5.0, 0.0]]]),
        torch.tensor([[[300.0, -300.0, 10.0], [0.0, 20.0, -30.0]]]),
        torch.full((1, 1), 0.005),
        torch.zeros(1, 1),
    )
    expected = Module()(*inputs).numpy()
    print("emitted:")
    got = run(lower(Module().eval(), inputs), inputs)
    print(f"eager   {np.ravel(expected)}\ngot     {np.ravel(got)}")
    if not np.allclose(got, expected, rtol=1e-5, atol=0, equal_nan=True):
        print("shown: the products overflow, the gradient is not finite")
        return 0
    print("not shown: the results agree")
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
