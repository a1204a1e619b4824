"""Decisions that hang on a float: comparisons, roundings to an integer, selections by index, quantization to a grid.

Where a value lies within its bound of the point at which such an operator jumps, a correct program may land on either
side. Which elements those are is measured: errors carried to the operator's operands say how far these may move. The
program is then run again with the operands moved down, and up, by that much. What it gives may be given; where nothing
moves across, one answer is right.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_map_only

from harness.evidence.names import OpName

#: Their result is all that is decided, nothing of a float's error passes through: it is kept while errors are measured.
DECIDING = {
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "equal",
    "isclose",
    "less",
    "less_equal",
    "greater",
    "greater_equal",
    "not_equal",
    "sign",
    "sgn",
    "signbit",
    "floor",
    "ceil",
    "round",
    "trunc",
    "fix",
    "heaviside",
    "bucketize",
    "searchsorted",
    "nonzero",
    "argwhere",
    "count_nonzero",
    "logical_and",
    "logical_or",
    "logical_xor",
    "logical_not",
    "any",
    "all",
}
#: They jump as well, and pass on what lies between the jumps.
JUMPING = {
    "frac",
    "fmod",
    "remainder",
    "floor_divide",
    "threshold",
    "hardshrink",
    "argmax",
    "argmin",
    "max",
    "min",
    "sort",
    "topk",
    "argsort",
    "kthvalue",
    "median",
    "nanmedian",
    "mode",
    "max_pool2d_with_indices",
    "max_pool3d_with_indices",
    "fake_quantize_per_tensor_affine",
    "fake_quantize_per_channel_affine",
    "fake_quantize_per_tensor_affine_cachemask",
    "fake_quantize_per_channel_affine_cachemask",
}
#: Decide by the values of a tensor, which are moved with signs at random: all by the same changes no order.
ORDERING = {"argmax", "argmin", "max", "min", "sort", "topk", "argsort", "kthvalue", "median", "nanmedian", "mode"}
#: Casts, deciding where they turn a float into an integer or a truth value.
CASTS = {"to", "_to_copy", "type_as", "copy", "int", "long", "bool"}


@dataclass
class Decision:
    """One call as the exact program made it: its floating operands, what it gave, how far the operands may move: by
    `moved` through errors, and between `lowest` and `highest` where decisions before it fell otherwise."""

    name: str
    operands: list[Tensor]
    out: Any
    moved: list[Tensor]
    lowest: list[Tensor] = field(default_factory=list)
    highest: list[Tensor] = field(default_factory=list)


@dataclass
class Ledger:
    """The decisions of a program in the order of its calls. A run that calls otherwise is left alone from there on."""

    decisions: list[Decision] = field(default_factory=list)

    def write(self, name: str, operands: list[Tensor], out: Any) -> None:
        """The next decision of the exact run. `operands` are those before the call, their own copies."""
        moved = [torch.zeros(t.shape, dtype=torch.float64) for t in operands]
        self.decisions.append(Decision(name, operands, tree_map_only(Tensor, torch.clone, out), moved))

    @property
    def open(self) -> bool:
        """Whether anything is decided by values that may move."""
        return any(bool((m > 0).any()) for one in self.decisions for m in one.moved)


class Reading:
    """A ledger read in the order of another run of the same program."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger, self._next, self._apart = ledger, 0, False

    def next(self, name: str, operands: list[Tensor]) -> Decision | None:
        """The decision that this call is; None once the run has called something else than the exact one did."""
        if self._apart or self._next >= len(self._ledger.decisions):
            return None
        one = self._ledger.decisions[self._next]
        self._next += 1
        shapes = [t.shape for t in one.operands]
        if one.name != name or shapes != [t.shape for t in operands]:
            self._apart = True
            return None
        return one


def decides(name: str, args: Any, out: Any) -> bool:
    """Whether the call `name(*args)` that gave `out` is a decision by the value of a float."""
    packet = _packet(name)
    if packet in DECIDING or packet in JUMPING or name.endswith((".Tensor_mode", ".Scalar_mode")):
        return bool(operands(args))
    if packet not in CASTS:
        return False
    results = [t for t in tree_flatten(out)[0] if isinstance(t, Tensor)]
    return bool(operands(args)) and all(not _floats(t) for t in results)


def is_pinned(name: str) -> bool:
    """Whether a run that measures errors keeps the exact result of such a call."""
    packet = _packet(name)
    return packet in DECIDING or packet in CASTS


def operands(args: Any) -> list[Tensor]:
    """The floating tensors among the arguments of a call, in order."""
    return [t for t in tree_flatten(args)[0] if isinstance(t, Tensor) and _floats(t)]


def note_moves(one: Decision, found: list[Tensor]) -> None:
    """Widen the moves of a decision by those of another run's operands."""
    for i, (exact, now) in enumerate(zip(one.operands, found, strict=True)):
        distance = (now.to(exact.dtype) - exact).abs().double()
        one.moved[i] = torch.maximum(one.moved[i], torch.nan_to_num(distance, nan=0.0, posinf=0.0, neginf=0.0))


def note_carried(one: Decision, found: list[Tensor]) -> None:
    """Widen what operands range over by those of a run that only decisions before have moved."""
    real = [t.detach() for t in found if not t.is_complex()]
    if len(real) < len(found):
        return  # complex numbers have no order
    one.lowest = [torch.minimum(a, b) for a, b in zip(one.lowest or one.operands, real, strict=True)]
    one.highest = [torch.maximum(a, b) for a, b in zip(one.highest or one.operands, real, strict=True)]


def shifted(one: Decision, args: Any, factor: float, sign: int, signs: Callable[[Tensor], Tensor]) -> Any:
    """`args` with the floating operands moved by `factor` times their moves, from the end of what they range over: the
    first in the direction of `sign`, the others against it. Each element at random, from where it is, where `sign` is
    0; each at random where an order decides."""
    at_random = sign == 0 or _packet(one.name) in ORDERING
    position = iter(range(len(one.moved)))

    def move(t: Tensor) -> Tensor:
        if not _floats(t):
            return t
        i = next(position)
        step = factor * one.moved[i]
        direction = signs(step) if at_random else torch.full_like(step, sign if i == 0 else -sign)
        if sign and one.lowest:
            ends = torch.where(direction > 0, torch.maximum(t, one.highest[i]), torch.minimum(t, one.lowest[i]))
            t = torch.where(torch.isfinite(ends), ends, t)
        return t + (direction * step).to(t.dtype)

    return tree_map_only(Tensor, move, args)


def _packet(name: str) -> str:
    return OpName.parse(name).packet.removesuffix("_")


def _floats(t: Tensor) -> bool:
    return t.is_floating_point() or t.is_complex()
