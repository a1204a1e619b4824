"""Modules that keep something from call to call: mutable buffers, which the partitioner makes Core ML state.

Each case is one call, judged by its result and by what it leaves in the buffers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING

from harness.cases.case import Built, Case
from harness.evidence.vocabulary import Kind, Level

if TYPE_CHECKING:
    import torch

SUITE = "state"
SEED = 0


@dataclass(frozen=True)
class Stateful:
    """`make` gives the module and its inputs, called after seeding torch."""

    name: str
    make: Callable[[], tuple[torch.nn.Module, tuple[torch.Tensor, ...]]]
    level: Level = Level.STANDARD


def _module(
    write: Callable[[torch.nn.Module, tuple[torch.Tensor, ...]], torch.Tensor], **buffers: torch.Tensor
) -> torch.nn.Module:
    """A module with these buffers that calls `write(module, inputs)`."""
    import torch

    class Module(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for name, value in buffers.items():
                self.register_buffer(name, value)

        def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
            return write(self, inputs)

    return Module().eval()


def _counter() -> tuple[torch.nn.Module, tuple[torch.Tensor, ...]]:
    import torch

    def write(m: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> torch.Tensor:
        m.calls.add_(1)  # type: ignore[operator, union-attr]
        return inputs[0] + m.calls

    return _module(write, calls=torch.zeros(1, dtype=torch.int32)), (torch.randn(2, 3),)


def _total(start: float = 0.0) -> tuple[torch.nn.Module, tuple[torch.Tensor, ...]]:
    import torch

    def write(m: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> torch.Tensor:
        m.total.add_(inputs[0])  # type: ignore[operator, union-attr]
        return m.total * 2  # type: ignore[operator, return-value]

    return _module(write, total=torch.full((2, 3), start)), (torch.randn(2, 3),)


def _unread(start: float) -> tuple[torch.nn.Module, tuple[torch.Tensor, ...]]:
    import torch

    def write(m: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> torch.Tensor:
        m.total.add_(inputs[0])  # type: ignore[operator, union-attr]
        return inputs[0] * 2

    return _module(write, total=torch.full((2, 3), start)), (torch.randn(2, 3),)


def _mean() -> tuple[torch.nn.Module, tuple[torch.Tensor, ...]]:
    import torch

    def write(m: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> torch.Tensor:
        m.mean.copy_(m.mean * 0.875 + inputs[0].mean(0) * 0.125)  # type: ignore[operator, union-attr]
        return inputs[0] - m.mean

    return _module(write, mean=torch.zeros(3)), (torch.randn(4, 3),)


def _cache() -> tuple[torch.nn.Module, tuple[torch.Tensor, ...]]:
    import torch

    def write(m: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> torch.Tensor:
        key, value, at = inputs
        m.keys.index_copy_(2, at, key)  # type: ignore[operator, union-attr]
        m.values.index_copy_(2, at, value)  # type: ignore[operator, union-attr]
        return torch.softmax(key @ m.keys.transpose(-1, -2), -1) @ m.values  # type: ignore[operator, union-attr]

    empty = torch.zeros(1, 2, 8, 4)
    one = (1, 2, 1, 4)
    return _module(write, keys=empty, values=empty.clone()), (torch.randn(one), torch.randn(one), torch.tensor([3]))


def _slice() -> tuple[torch.nn.Module, tuple[torch.Tensor, ...]]:
    import torch

    def write(m: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> torch.Tensor:
        m.cache[:, 2:4] = inputs[0]  # type: ignore[operator, index]
        return m.cache.sum(-1)  # type: ignore[operator, union-attr]

    return _module(write, cache=torch.zeros(2, 8, 4)), (torch.randn(2, 2, 4),)


def _between() -> tuple[torch.nn.Module, tuple[torch.Tensor, ...]]:
    """asinh falls back: the program has a step of ExecuTorch's own before the delegate that writes."""
    import torch

    def write(m: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> torch.Tensor:
        m.total.add_(torch.asinh(inputs[0]))  # type: ignore[operator, union-attr]
        return inputs[0] * m.total

    return _module(write, total=torch.zeros(2, 3)), (torch.randn(2, 3),)


def _reserved() -> tuple[torch.nn.Module, tuple[torch.Tensor, ...]]:
    """Buffers of two submodules, named so that coremltools renames them."""
    import torch

    class Pair(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = torch.nn.Sequential(_total()[0], _total()[0])

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.parts(x)

    return Pair().eval(), (torch.randn(2, 3),)


CASES: tuple[Stateful, ...] = (
    Stateful("counter", _counter, Level.SMOKE),
    Stateful("total", _total, Level.SMOKE),
    Stateful("total-from-3", partial(_total, 3.0), Level.SMOKE),
    Stateful("total-unread", partial(_unread, 0.0)),
    Stateful("total-unread-from-3", partial(_unread, 3.0)),
    Stateful("running-mean", _mean),
    Stateful("key-value-cache", _cache, Level.SMOKE),
    Stateful("slice-of-cache", _slice),
    Stateful("after-fallback", _between),
    Stateful("two-parts", _reserved),
)


@cache
def cases() -> tuple[Case, ...]:
    return tuple(
        Case(
            id=f"{SUITE}/{case.name}/float32/seed-{SEED}",
            kind=Kind.STATE,
            op=f"{SUITE}.{case.name}",
            api=f"{SUITE}.{case.name}",
            dtype="float32",
            origin=SUITE,
            level=case.level,
            build=partial(_build, case),
        )
        for case in CASES
    )


def _build(case: Stateful) -> Built:
    import torch

    torch.manual_seed(SEED)
    module, inputs = case.make()
    return Built(module, inputs, SEED)
