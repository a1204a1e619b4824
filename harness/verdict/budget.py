"""Whether a program can be judged element by element: what running it again for its bounds would take.

Counted, not timed, so that the same program is judged alike on every machine.
"""

from __future__ import annotations

import contextlib
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten
from torch.utils.flop_counter import flop_registry

from harness.verdict.oracle import Truth, WidenFactories

#: Floating-point operations of products and sums of one run in float64, and elements of all results together. Bounds
#: take some twenty such runs: at a hundred megaelements and ten gigaflops (a ResNet-50 at 224 by 224 has eight) a
#: minute on two cores.
FLOPS = 10e9
ELEMENTS = 150e6


class _Count(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.flops = 0.0
        self.elements = 0.0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            self.flops += formula(*args, **kwargs, out_val=out)
        self.elements += sum(t.numel() for t in tree_flatten(out)[0] if isinstance(t, Tensor))
        return out


def within_budget(truth: Truth) -> bool:
    """Whether one run of the truth's module stays below `FLOPS` and `ELEMENTS`; counted once a truth."""
    if "cost" not in truth.cache:
        counting = _Count()
        with torch.no_grad(), counting, WidenFactories() if truth.exact else contextlib.nullcontext():
            truth.again()
        truth.cache["cost"] = counting.flops, counting.elements
    flops, elements = truth.cache["cost"]
    return flops <= FLOPS and elements <= ELEMENTS
