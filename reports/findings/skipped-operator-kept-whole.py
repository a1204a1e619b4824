"""An operator in skip_ops_for_coreml_delegation is kept whole and then left out, so that nothing can run it.

Before decomposition the Core ML partitioner asks by names such as "scaled_dot_product_attention.default",
afterwards by "aten.scaled_dot_product_attention.default"
(executorch/backends/apple/coreml/partition/coreml_partitioner.py, is_node_supported). No name in the list fits
both times.
"""

import torch
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower

NAME = "aten.scaled_dot_product_attention.default"


class Module(torch.nn.Module):
    def forward(self, q):
        return torch.nn.functional.scaled_dot_product_attention(q, q, q)


def lower(names):
    exported = torch.export.export(Module(), (torch.rand(1, 2, 4, 8),))
    partitioner = CoreMLPartitioner(skip_ops_for_coreml_delegation=names)
    return to_edge_transform_and_lower(exported, partitioner=[partitioner])


def main() -> int:
    lower([NAME, NAME.removeprefix("aten.")]).to_executorch()
    program = lower([NAME])
    whole = any(NAME in getattr(node.target, "__name__", "") for node in program.exported_program().graph.nodes)
    message = ""
    try:
        program.to_executorch()
    except RuntimeError as error:
        message = str(error)
    print(f"left whole: {whole}; {message}")
    if whole and "Missing out variants: {'aten::scaled_dot_product_attention'}" in message:
        print("shown: it cannot be emitted; with both of its names in the list it is decomposed and can")
        return 0
    print("not shown: the program is emitted")
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
