"""x.clone() cannot be lowered when the example input is a transposed tensor.

ExecuTorch replaces clone by an operator that names the order of the dimensions, taken from the input; evaluated, the
order is mapped back to a memory format (`get_memory_format`, executorch/exir/dim_order_utils.py), which knows
contiguous and channels-last only.
"""

import torch
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower


class Module(torch.nn.Module):
    def forward(self, x):
        return x.clone()


def lower(x, *partitioners):
    return to_edge_transform_and_lower(torch.export.export(Module(), (x,)), partitioner=list(partitioners))


def message(x, *partitioners):
    """The exception's first line; empty when the program lowers."""
    try:
        lower(x, *partitioners)
    except Exception as error:
        return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
    return ""


def main() -> int:
    x = torch.rand(3, 4)
    found = [message(x.t(), CoreMLPartitioner()), message(x.t())]
    print("\n".join(found))
    contiguous = message(x, CoreMLPartitioner())
    if not contiguous and all("Failed to map a given dim_order: [1, 0]" in text for text in found):
        print("shown: a transposed input fails, with and without the Core ML partitioner; a contiguous one lowers")
        return 0
    print("not shown: a transposed input lowers")
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
