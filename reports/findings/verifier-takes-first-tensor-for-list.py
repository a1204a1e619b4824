"""ExecuTorch's edge verifier crashes on an operator that returns a list of scalar tensors.

`EdgeOpArgValidator.call_function` (executorch/exir/verification/arg_validator.py) iterates over the value of
the node where it wants the operator's returns. Of one return that is a list it gets the list's first tensor,
and asks that for its length.
"""

import torch
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower
from executorch.exir.error import InternalError


class Loss(torch.nn.Module):
    def forward(self, x, y):
        return torch.nn.functional.l1_loss(x, y)


def lower(*inputs):
    exported = torch.export.export(Loss(), inputs)
    return to_edge_transform_and_lower(exported, partitioner=[CoreMLPartitioner()])


def main() -> int:
    lower(torch.rand(3), torch.rand(3))
    message = ""
    try:
        lower(torch.tensor(1.0), torch.tensor(2.0))
    except InternalError as error:
        message = str(error)
    print(message.partition("\n")[0])
    if "len() of a 0-d tensor" in message and "broadcast_tensors" in message:
        print("shown: l1_loss of vectors lowers, of scalars the verifier fails on broadcast_tensors")
        return 0
    print("not shown: l1_loss of scalars lowers")
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
