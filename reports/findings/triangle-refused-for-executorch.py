"""coremltools refuses triu and tril in programs of ExecuTorch, though it converts them.

Their functions in coremltools/converters/mil/frontend/torch/ops.py assert that the program is not ExecuTorch's,
because the operators are outside Core ATen. A partitioner may keep any operator whole; that of Core ML has both
decomposed for this.
"""

import coremltools as ct
import torch
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower


class Keeping(CoreMLPartitioner):
    """The partitioner without these lines of its list of operators to decompose."""

    def ops_to_not_decompose(self, ep):
        kept, condition = super().ops_to_not_decompose(ep)
        return [*kept, torch.ops.aten.triu.default, torch.ops.aten.tril.default], condition


class Module(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def refused(function):
    exported = torch.export.export(Module(function), (torch.rand(3, 4),))
    plain = exported.run_decompositions({})
    ct.convert(plain, minimum_deployment_target=ct.target.iOS18, skip_model_load=True)
    try:
        to_edge_transform_and_lower(exported, partitioner=[Keeping()])
    except AssertionError as error:
        print(f"AssertionError: {error}")
        return f"{function.__name__} is not a core aten op" in str(error)
    return False


def main() -> int:
    if all([refused(torch.triu), refused(torch.tril)]):
        print("shown: refused in ExecuTorch's program, converted from the exported one")
        return 0
    print("not shown: both convert")
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
