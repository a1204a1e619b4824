"""Convolutions of an input without batch dimension do not convert, or convert to something else.

torch.nn.Conv1d to ConvTranspose3d take (C, *spatial). The Core ML partitioner keeps these operators from being
decomposed (PyTorch's own decomposition would add the batch dimension), and coremltools hands the input to MIL's conv,
which reads dimension 0 as batch and dimension 1 as channels. conv fails on that; conv_transpose does not, and the
program's output has another shape than PyTorch's.
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

TELLING = ("C_in / groups", "op_type: conv) Input")


def lower(module, x):
    specs = CoreMLBackend.generate_compile_specs(
        compute_precision=ct.precision.FLOAT32, minimum_deployment_target=ct.target.iOS18
    )
    program = torch.export.export(module.eval(), (x,))
    return to_edge_transform_and_lower(program, partitioner=[CoreMLPartitioner(compile_specs=specs)])


def outcome(module, x) -> str:
    """The exception of lowering as text, or the shape of the lowered program's output."""
    try:
        lowered = lower(module, x).exported_program().graph_module
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    (processed,) = [child.processed_bytes for child in lowered.children() if hasattr(child, "processed_bytes")]
    with tempfile.TemporaryDirectory() as folder:
        executorchcoreml.unflatten_directory_contents(processed, folder)
        spec = Model_pb2.Model.FromString(next(pathlib.Path(folder).rglob("model.mlmodel")).read_bytes())
    return str(tuple(spec.description.output[0].type.multiArrayType.shape))


def main() -> int:
    cases = {
        "Conv1d": (torch.nn.Conv1d(2, 3, 3), torch.randn(2, 5)),
        "Conv2d": (torch.nn.Conv2d(2, 3, 3), torch.randn(2, 5, 5)),
        "Conv3d": (torch.nn.Conv3d(2, 3, 3), torch.randn(2, 5, 5, 5)),
        "ConvTranspose2d": (torch.nn.ConvTranspose2d(2, 4, 3), torch.randn(2, 4, 4)),
        "Conv2d of a batch": (torch.nn.Conv2d(2, 3, 3), torch.randn(1, 2, 5, 5)),
    }
    shown = []
    for name, (module, x) in cases.items():
        expected, got = str(tuple(module(x).shape)), outcome(module, x)
        print(f"{name}: PyTorch's shape {expected}, lowered: {got}")
        if any(words in got for words in TELLING) or (got.startswith("(") and got != expected):
            shown.append(name)
    print(f"shown: dimensions are misread ({', '.join(shown)})" if shown else "not shown: all lower with their shapes")
    return 0 if shown else 1


if __name__ == "__main__":
    raise SystemExit(main())
