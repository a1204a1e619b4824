"""torch.repeat_interleave with a tensor of repeats cannot be lowered: the Core ML partitioner has it decomposed.

`ops_to_not_decompose` (executorch/backends/apple/coreml/partition/coreml_partitioner.py) leaves
repeat_interleave.self_Tensor out, for speed. Its decomposition calls repeat_interleave.Tensor, which is outside
Core ATen and which nobody takes.
"""

import torch
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower
from torch._export.verifier import SpecViolationError

REPEAT = torch.ops.aten.repeat_interleave.self_Tensor


class Module(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("repeats", torch.tensor([2, 2, 2]))

    def forward(self, x):
        return torch.repeat_interleave(x, self.repeats, dim=0, output_size=6)


class Keeping(CoreMLPartitioner):
    """The partitioner without that line of its list."""

    def ops_to_not_decompose(self, ep):
        kept, condition = super().ops_to_not_decompose(ep)
        return [*kept, REPEAT], condition


def lower(partitioner):
    exported = torch.export.export(Module(), (torch.rand(3, 4),))
    return to_edge_transform_and_lower(exported, partitioner=[partitioner])


def main() -> int:
    message = ""
    try:
        lower(CoreMLPartitioner())
    except SpecViolationError as error:
        message = str(error).strip().splitlines()[0]
    print(message)
    if "aten.repeat_interleave.Tensor is not in Core ATen opset" not in message:
        print("not shown: it is not refused")
        return 1
    graph = lower(Keeping()).exported_program().graph
    assert not any("repeat_interleave" in str(node.target) for node in graph.nodes), "it was not delegated"
    print("shown: refused; kept whole, equal constant repeats are delegated to Core ML")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
