"""With FLOAT16 precision int32 data known only at run time is cast to int16 without a check.

The pass add_int16_cast (coremltools/converters/mil/mil/passes/defs/quantization.py) casts the operands of
squeeze, gather, gather_along_axis, gather_nd and topk. It looks at the values of constants and at the size of
the axis for indices, not at data. int16 cannot hold 40001; what Core ML makes of it is not documented, so
this one is for a Mac to decide.
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
    "cast": lambda x, dtype: x.astype(
        {
            "int32": np.int32,
            "int16": np.int16,
            "uint16": np.uint16,
            "bool": bool,
            "fp16": np.float16,
            "fp32": np.float32,
        }[str(dtype)]
    ),
    "squeeze": lambda x, axes: np.squeeze(x, tuple(axes)),
}


class Module(torch.nn.Module):
    def forward(self, x):
        return x.squeeze(0)


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
    inputs = (torch.tensor([[40001, 70000, 7]], dtype=torch.int32),)
    expected = Module()(*inputs).numpy()
    print("emitted:")
    with np.errstate(all="ignore"):
        got = run(lower(Module().eval(), inputs), inputs)
    print(f"eager   {np.ravel(expected)}\ngot     {np.ravel(got)}")
    if not np.allclose(got, expected, rtol=1e-5, atol=0, equal_nan=True):
        print("shown: the program casts the integers to int16, which cannot hold them")
        return 0
    print("not shown: the results agree")
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
