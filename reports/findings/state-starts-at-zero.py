"""A mutable buffer that begins at 3 begins at 0 in the lowered program.

The Core ML partitioner takes the buffer over as Core ML state. The package declares the state and holds no value for
it; Core ML makes a new state of zeros (developer.apple.com, MLModel.newState), and the runtime of the backend makes
one with each loaded model and writes nothing to it (backends/apple/coreml/runtime/delegate/ETCoreMLModel.mm).
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

START = 3.0


class Total(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("total", torch.full((4,), START))

    def forward(self, x):
        self.total.add_(x)
        return self.total * 2


def lower(module, inputs):
    specs = CoreMLBackend.generate_compile_specs(minimum_deployment_target=ct.target.iOS18)
    program = to_edge_transform_and_lower(
        torch.export.export(module, inputs), partitioner=[CoreMLPartitioner(compile_specs=specs)]
    )
    modules = program.exported_program().graph_module.children()
    return next(m.processed_bytes for m in modules if hasattr(m, "processed_bytes"))


def holds_start(path):
    """Whether the bytes of 3 as float16, float32 or float64 are in a file."""
    content = path.read_bytes()
    return any(4 * np.array(START, kind).tobytes() in content for kind in (np.float16, np.float32, np.float64))


def main() -> int:
    inputs = (torch.tensor([0.5, 1.0, -1.0, 2.0]),)
    processed = lower(Total().eval(), inputs)
    expected = Total()(*inputs).numpy()
    with tempfile.TemporaryDirectory() as folder:
        executorchcoreml.unflatten_directory_contents(processed, folder)
        root = Path(folder, "lowered_module")
        model = Model_pb2.Model.FromString(next(root.rglob("*.mlmodel")).read_bytes())
        states = [state.name for state in model.description.state]
        holding = [path.name for path in root.rglob("*") if path.is_file() and holds_start(path)]
        print(f"states {states}; files of the package that hold four times {START}: {holding or 'none'}")
        if sys.platform == "darwin":
            runner = ct.models.MLModel(str(root / "model.mlpackage"), compute_units=ct.ComputeUnit.CPU_ONLY)
            names = json.loads((root / "metadata.json").read_text())["inputNames"]
            values = {name: x.numpy() for name, x in zip(names, inputs, strict=True)}
            got = next(iter(runner.predict(values, runner.make_state()).values()))
        else:
            got = inputs[0].numpy() * 2  # from zero, as Core ML makes a state
    print(f"eager   {expected}\ngot     {np.ravel(got)}")
    if states == ["total"] and not holding and not np.allclose(got, expected):
        print(f"shown: the buffer begins at {START} in eager and at 0 in the lowered program")
        return 0
    print("not shown: the package holds the value, or the results agree")
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
