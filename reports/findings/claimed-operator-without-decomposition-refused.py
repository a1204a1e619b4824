"""Operators outside Core ATen that nothing decomposes are refused although the Core ML partitioner claims them.

`_gen_edge_manager_for_partitioners` (executorch/exir/program/_program.py) puts an operator that a partitioner
wants whole on the verifier's list of exceptions only when it found it in the decomposition table. exp2 has no
decomposition, so it is in no table, not on the list, and the edge verifier refuses it before the partitioner is
asked.
"""

import torch
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import EdgeCompileConfig, to_edge_transform_and_lower
from torch._export.verifier import SpecViolationError


class Module(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


PROGRAMS = {
    torch.ops.aten.exp2.default: torch.exp2,
    torch.ops.aten.cumprod.default: lambda x: torch.cumprod(x, 1),
    torch.ops.aten.adaptive_max_pool2d.default: lambda x: torch.nn.functional.adaptive_max_pool2d(x, 2),
}


def lower(function, **options):
    exported = torch.export.export(Module(function), (torch.rand(1, 2, 8, 8),))
    return to_edge_transform_and_lower(exported, partitioner=[CoreMLPartitioner()], **options)


def refused(operator, function):
    exported = torch.export.export(Module(function), (torch.rand(1, 2, 8, 8),))
    assert operator in CoreMLPartitioner().ops_to_not_decompose(exported)[0], "the partitioner does not ask for it"
    try:
        lower(function)
    except SpecViolationError as error:
        print(str(error).strip().splitlines()[0])
        return f"{operator} is not in Core ATen opset" in str(error).replace("torch._ops.", "")
    return False


def main() -> int:
    if not all(refused(operator, function) for operator, function in PROGRAMS.items()):
        print("not shown: what the partitioner claims is lowered")
        return 1
    program = lower(torch.exp2, compile_config=EdgeCompileConfig(preserve_ops=[torch.ops.aten.exp2.default]))
    targets = [str(n.target) for n in program.exported_program().graph.nodes if n.op == "call_function"]
    assert not any("exp2" in target for target in targets), "exp2 was not delegated"
    print("shown: refused by default; named in EdgeCompileConfig(preserve_ops=...) exp2 is delegated")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
