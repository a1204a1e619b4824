"""Dim("batch", min=1, max=8) and Dim.AUTO(min=1, max=8) give a range that begins at 2.

torch.export compiles sizes 0 and 1 apart from others, so that a symbol begins at 2; the minimum that was asked for
stands in the exported program's range constraints, but for a hint, whose minimum is lost there. ExecuTorch makes the
constraints of the edge program anew of the symbols' ranges (exir/_program_utils.py _get_updated_range_constraints), and
coremltools makes the input's range of them. An enumeration may hold 1, of a program exported with a hint.
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
from torch.export import Dim


class Double(torch.nn.Module):
    def forward(self, x):
        return x * 2


def exported(dim):
    return torch.export.export(Double(), (torch.randn(4, 3),), dynamic_shapes=({0: dim},))


def taken(program, specs=(), **options):
    """The description of the input that the lowered program takes."""
    specs = [*CoreMLBackend.generate_compile_specs(minimum_deployment_target=ct.target.iOS18), *specs]
    lowered = to_edge_transform_and_lower(program, partitioner=[CoreMLPartitioner(compile_specs=specs, **options)])
    modules = lowered.exported_program().graph_module.children()
    processed = next(m.processed_bytes for m in modules if hasattr(m, "processed_bytes"))
    with tempfile.TemporaryDirectory() as folder:
        executorchcoreml.unflatten_directory_contents(processed, folder)
        model = Model_pb2.Model.FromString(next(Path(folder).rglob("*.mlmodel")).read_bytes())
    return model.description.input[0].type.multiArrayType


def lowest(dim):
    return taken(exported(dim)).shapeRange.sizeRanges[0].lowerBound


def enumerated(dim):
    """The batches of an enumeration of 4 and 1, or the error."""
    program = exported(dim)
    spec = CoreMLBackend.generate_enumerated_shapes_compile_spec(program, {"x": [[4, 3], [1, 3]]})
    try:
        found = taken(program, [spec], lower_full_graph=True)
    except AssertionError as error:
        return f"AssertionError: {str(error)[:90]}..."
    return [shape.shape[0] for shape in found.enumeratedShapes.shapes]


print(f"coremltools {ct.__version__}, torch {torch.__version__}")
named, hinted = Dim("batch", min=1, max=8), Dim.AUTO(min=1, max=8)
print(f"constraints of the exported program: {list(exported(named).range_constraints.values())}, from 1")
found = lowest(named), lowest(hinted)
print(f"expected: ranges from 1\nactual:   named from {found[0]}, hinted from {found[1]}")
enumerations = enumerated(named), enumerated(hinted)
print(f"enumerated, of the named:  {enumerations[0]}\nenumerated, of the hinted: {enumerations[1]}")
raise SystemExit(found != (2, 2) or not isinstance(enumerations[0], str) or enumerations[1] != [4, 1])
