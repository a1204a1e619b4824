"""scaled_dot_product_attention with a scale attends to everything where a row of the mask is all False.

With `scale` the operator is decomposed and a bool mask becomes (1 - mask) * -3e4
(`scaled_dot_product_attention` in coremltools/converters/mil/frontend/torch/ops.py). A whole row of -3e4
cancels in the softmax, so a query that may look at nothing gets a mean of all the values; torch gives 0.
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
    "cast": lambda x, dtype: (
        np.trunc(x).astype(np.int32)
        if dtype == "int32"
        else x.astype({"bool": bool, "fp16": np.float16, "fp32": np.float32}[str(dtype)])
    ),
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "matmul": lambda x, y, transpose_x, transpose_y: (
        (x.swapaxes(-1, -2) if transpose_x else x) @ (y.swapaxes(-1, -2) if transpose_y else y)
    ),
    "add": lambda x, y: x + y,
    "softmax": lambda x, axis: (
        np.exp(x - x.max(int(axis), keepdims=True))
        / np.exp(x - x.max(int(axis), keepdims=True)).sum(int(axis), keepdims=True)
    ),
}


class Module(torch.nn.Module):
    def forward(self, q, k, v, mask):
        return torch.nn.functional.scaled_dot_product_attention(q, k, v, mask, scale=0.5)


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
    inputs = (
        torch.ones(1, 1, 2, 2),
        torch.ones(1, 1, 3, 2),
        torch.ones(1, 1, 3, 2),
        torch.tensor([[True, False, True], [False, False, False]]),
    )
    expected = Module()(*inputs).numpy()
    print("emitted:")
    with np.errstate(all="ignore"):
        got = run(lower(Module().eval(), inputs), inputs)
    print(f"eager   {np.ravel(expected)}\ngot     {np.ravel(got)}")
    if not np.allclose(got, expected, rtol=1e-5, atol=0, equal_nan=True):
        print("shown: the row without a key to attend to attends to all of them")
        return 0
    print("not shown: the results agree")
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
