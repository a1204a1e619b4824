"""A program run again with its operands, weights and constants rounded to a recipe's precision.

What the ML Program is given is rounded before anything is computed: that is no error of the backend, and what it does
to the results is measured here, apart from the errors of operators (`harness.verdict.propagate`).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, is_traceable_wrapper_subclass
from torch.utils._pytree import tree_flatten, tree_map_only

from harness.verdict.oracle import WIDE, Truth
from harness.verdict.tolerance import FP32, Format

#: Operators whose Python floats are geometry (scale factors, probabilities), not values that are computed with.
GEOMETRY = ("upsample", "_upsample", "native_dropout", "dropout", "fractional_max_pool")

#: Gives a tensor written as numbers, `torch.tensor([0.1, 0.3])`, to the program; `lift_fresh_copy` as well.
LITERAL = "aten::lift_fresh"


class RoundOperands(TorchDispatchMode):
    """Rounds the program's constants to the recipe's precision: Python floats, and tensors made from nothing or
    written as numbers. `own` is of a program that runs in its own dtype, not in float64."""

    def __init__(self, f: Format, own: bool = False) -> None:
        super().__init__()
        self.f, self.own = f, own
        self.changed = False

    def tensor(self, t: Tensor) -> Tensor:
        if is_traceable_wrapper_subclass(t):
            return t  # a quantized weight, say: what it is made of is not its values
        r = self.f.round(t)
        self.changed |= not bool(((r == t) | t.isnan()).all())
        return r

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if kwargs.get("dtype") in (torch.float32, torch.complex64) and not self.own:
            kwargs["dtype"] = WIDE[kwargs["dtype"]]
        held = any(isinstance(x, Tensor) for x in tree_flatten((args, kwargs))[0])
        made_from_nothing = not held or func._schema.name.startswith(LITERAL)
        if not made_from_nothing and not func._schema.name.removeprefix("aten::").startswith(GEOMETRY):
            args, kwargs = tree_map_only(float, self._scalar, (args, kwargs))
        out = func(*args, **kwargs)
        if made_from_nothing and isinstance(out, Tensor) and (out.is_floating_point() or out.is_complex()):
            return self.tensor(out)
        return out

    def _scalar(self, x: float) -> float:
        r = float(self.f.round(torch.tensor(x, dtype=torch.float64)))
        self.changed |= r != x and x == x
        return r


def with_rounded_operands(truth: Truth, f: Format) -> list[Tensor] | None:
    """The outputs of `truth` with constants, weights and inputs rounded to `f`; None where that changes nothing, or
    where a program that runs in its own dtype refuses rounded operands."""
    if not truth.exact and f is FP32:
        return None
    mode = RoundOperands(f, own=not truth.exact)
    try:
        with torch.no_grad(), mode:
            outs = truth.again(change=mode.tensor)
    except (RuntimeError, TypeError, NotImplementedError):
        if truth.exact:
            raise
        return None  # what refuses float64 may refuse these as well
    same_shapes = len(outs) == len(truth.outputs) and all(
        a.shape == b.shape for a, b in zip(outs, truth.outputs, strict=True)
    )
    return outs if mode.changed and same_shapes else None
