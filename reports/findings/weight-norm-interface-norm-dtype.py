"""torch._weight_norm_interface of fp16 returns its norm in fp32, and torch.export writes fp16 of it.

The kernel for CPUs (aten/src/ATen/native/WeightNorm.cpp) keeps the norm of half-precision weights in float; the
decomposition that gives export its types (torch/_decomp/decompositions.py) keeps the type of the weight. The lowered
program follows what was exported.
"""

import torch


class Module(torch.nn.Module):
    def forward(self, v, g):
        return torch.ops.aten._weight_norm_interface.default(v, g, 0)


def main() -> int:
    v, g = torch.ones(4, 3, dtype=torch.float16), torch.ones(4, 1, dtype=torch.float16)
    eager = Module()(v, g)[1].dtype
    exported = torch.export.export(Module(), (v, g))
    told = list(exported.graph.nodes)[-1].args[0][1].meta["val"].dtype
    print(f"norm in eager {eager}, by torch.export {told}")
    if eager is not told:
        print("shown: the exported program has another type than eager")
        return 0
    print("not shown: the types agree")
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
