"""Modules of the programs that older releases made: torch alone, so that the script which makes them can use it.

Weights are written out, not drawn, so that every version of torch has the same. No name here is ever given to another
module: its programs lie in `suites/programs`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Made:
    """A module, what it is exported with, and further calls."""

    module: nn.Module
    inputs: tuple[Tensor, ...]
    calls: tuple[tuple[Tensor, ...], ...] = ()
    dynamic_shapes: Any = None


def _spread(*shape: int, by: int = 7) -> Tensor:
    """Values between -1 and 1 on the grid of float16, in an order that is not theirs."""
    count = torch.Size(shape).numel()
    return (((torch.arange(count) * by) % 31).float() / 16 - 0.9375).reshape(shape)


def _filled(module: nn.Module) -> nn.Module:
    with torch.no_grad():
        for number, parameter in enumerate(module.parameters()):
            parameter.copy_(_spread(*parameter.shape, by=7 + 2 * number) / 2)
    return module.eval()


def linear_relu() -> Made:
    return Made(_filled(nn.Sequential(nn.Linear(8, 6), nn.ReLU())), (_spread(2, 8),))


def conv() -> Made:
    module = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.GELU(), nn.Conv2d(4, 3, 1, stride=2))
    return Made(_filled(module), (_spread(1, 2, 6, 6, by=5),))


class _Cache(nn.Module):
    """Keys of one head, written at a place that is given, and the scores of a query."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("keys", torch.zeros(1, 4, 4))

    def forward(self, token: Tensor, place: Tensor) -> Tensor:
        self.keys.index_copy_(1, place, token)
        return token @ self.keys.transpose(-1, -2)


def cache() -> Made:
    def token(number: int) -> tuple[Tensor, ...]:
        return _spread(1, 1, 4, by=3 + 2 * number), torch.tensor([number])

    return Made(_Cache().eval(), token(0), (token(1), token(2), token(1)))


def dynamic() -> Made:
    batch = torch.export.Dim("batch", min=1, max=8)
    module = nn.Sequential(nn.Linear(4, 3), nn.Tanh())
    calls = tuple((_spread(size, 4, by=9),) for size in (2, 5, 8))
    return Made(_filled(module), (_spread(3, 4),), calls, ({0: batch},))


class _Between(nn.Module):
    """`asinh` is none of Core ML's: ExecuTorch's own kernel runs between two delegates."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.after = nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.after(torch.asinh(self.before(x)))


def between() -> Made:
    return Made(_filled(_Between()), (_spread(3, 4, by=11),))


def linear_int8() -> Made:
    """A channel's largest weight is 127 of 128, so that its integers are exact."""
    module = _filled(nn.Sequential(nn.Linear(32, 8, bias=False)))
    return Made(module, (_spread(2, 32),))


#: By name, with the recipe it is made by.
PROGRAMS: dict[str, tuple[Callable[[], Made], str]] = {
    "linear-relu": (linear_relu, "default"),
    "conv": (conv, "fp32-ios16"),
    "key-cache": (cache, "fp16-ios18"),
    "dynamic-batch": (dynamic, "fp32-ios17"),
    "between-delegates": (between, "fp16-ios15"),
    "linear-int8": (linear_int8, "fp16-ios18-torchao_int8_channel"),
}
