"""skip_ops_for_coreml_delegation has no effect on operators whose name has a capital letter.

`is_node_supported` (executorch/backends/apple/coreml/partition/coreml_partitioner.py) puts the operator's name
in lower case and looks for it in the list, whose names are left as they are: "aten.mul.Tensor" is never found.
"""

import torch
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower


class Module(torch.nn.Module):
    def forward(self, x, y):
        return torch.relu(x * y)


def outside(name):
    """The operators left out of Core ML when `name` is to be skipped."""
    exported = torch.export.export(Module(), (torch.rand(3), torch.rand(3)))
    partitioner = CoreMLPartitioner(skip_ops_for_coreml_delegation=[name])
    graph = to_edge_transform_and_lower(exported, partitioner=[partitioner]).exported_program().graph
    return [node.target.__name__ for node in graph.nodes if "aten" in getattr(node.target, "__name__", "")]


def main() -> int:
    names = ("aten.relu.default", "aten.mul.Tensor", "aten.mul.tensor")
    left = {name: outside(name) for name in names}
    for name, operators in left.items():
        print(f"skip {name}: left out of Core ML {operators}")
    assert left["aten.relu.default"] == ["aten.relu.default"], "no operator is skipped at all"
    if left["aten.mul.Tensor"] == [] and left["aten.mul.tensor"] == ["aten.mul.Tensor"]:
        print("shown: aten.mul.Tensor is delegated although it was to be skipped")
        return 0
    print("not shown: aten.mul.Tensor is skipped")
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
