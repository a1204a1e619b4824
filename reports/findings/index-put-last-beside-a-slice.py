"""x[:, i] = v with i = -1 known at run time writes nothing.

The converter function `index_put` (coremltools/converters/mil/frontend/torch/ops.py) turns an index beside a
whole slice into a `slice_update` from i to i + 1, which for -1 is from the last element to element 0: an
empty slice. Only where no slice stands beside the indices are negative ones made positive.
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
    "squeeze": lambda x, axes=None: np.squeeze(x),
    "add": lambda x, y: x + y,
    "concat": lambda values, axis, interleave: values,
    "slice_update": lambda x, update, begin, end, **_: np.where(
        np.isin(np.arange(4), np.arange(4)[begin[1] : end[1]]), update, x
    ),
}


class Module(torch.nn.Module):
    def forward(self, x, i, v):
        return torch.ops.aten.index_put(x, [None, i], v)


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


def joined(arguments):
    return arguments[0] if len(arguments) == 1 else np.hstack(arguments)


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
        given = {key: joined([values[a.name] for a in bound.arguments]) for key, bound in op.inputs.items()}
        values[op.outputs[0].name] = rounded(FORMULAS[op.type](**given))
        small = {key: value.tolist() for key, value in given.items() if value.size == 1 or value.dtype.kind == "U"}
        print(f"  {op.outputs[0].name} = {op.type} {small or ''}")
    return values[block.outputs[0]] if predicted is None else predicted


def main() -> int:
    inputs = (
        torch.zeros(2, 4),
        torch.tensor([-1], dtype=torch.int32),
        torch.ones(2, 1),
    )
    expected = Module()(*inputs).numpy()
    print("emitted:")
    with np.errstate(all="ignore"):
        got = run(lower(Module().eval(), inputs), inputs)
    print(f"eager   {np.ravel(expected)}\ngot     {np.ravel(got)}")
    if not np.allclose(got, expected, rtol=1e-5, atol=0, equal_nan=True):
        print("shown: the slice that is written to is empty")
        return 0
    print("not shown: the results agree")
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
