"""Modules that keep something from call to call: mutable buffers, which the partitioner makes Core ML state.

Each case is five calls of one loaded program, judged by their results and by what each leaves in the buffers; with the
buffers taken over as state, and, beside it, left to ExecuTorch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from harness.cases.case import AS_IT_IS, Arguments, Built, Case, Partitioning
from harness.evidence.vocabulary import Kind, Level

if TYPE_CHECKING:
    import torch

    Inputs = tuple[torch.Tensor, ...]
    #: The module, and its inputs by the number of the call.
    Made = tuple[torch.nn.Module, Callable[[int], Inputs]]

SUITE = "state"
SEED = 0
CALLS = 5
#: The option that leaves buffers to ExecuTorch, as it stands in ids.
LEFT = "take_over_mutable_buffer"


@dataclass(frozen=True)
class Stateful:
    """`make` gives the module and what gives its inputs, called after seeding torch."""

    name: str
    make: Callable[[], Made]
    level: Level = Level.STANDARD


def _module(write: Callable[..., Any], **buffers: torch.Tensor) -> torch.nn.Module:
    """A module with these buffers that calls `write(module, *inputs)`."""
    import torch

    class Module(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for name, value in buffers.items():
                self.register_buffer(name, value)

        def forward(self, *inputs: torch.Tensor) -> Any:
            return write(self, *inputs)

    return Module().eval()


def _random(*shape: int) -> Callable[[int], Inputs]:
    import torch

    return lambda _call: (torch.randn(*shape),)


def _counter(step: int = 1, dtype: str = "int32") -> Made:
    import torch

    def write(m: Any, x: torch.Tensor) -> torch.Tensor:
        m.calls.add_(step)
        return x + m.calls

    return _module(write, calls=torch.zeros(1, dtype=getattr(torch, dtype))), _random(2, 3)


def _counted() -> Made:
    """Counts, and has no input."""
    import torch

    def write(m: Any) -> torch.Tensor:
        m.calls.add_(1)
        return m.calls * 2

    return _module(write, calls=torch.zeros(1)), lambda _call: ()


def _total(start: float = 0.0, dtype: str = "float32") -> Made:
    import torch

    def write(m: Any, x: torch.Tensor) -> torch.Tensor:
        m.total.add_(x)
        return m.total * 2

    return _module(write, total=torch.full((2, 3), start, dtype=getattr(torch, dtype))), _random(2, 3)


def _returned() -> Made:
    """The result is the buffer itself."""
    import torch

    def write(m: Any, x: torch.Tensor) -> torch.Tensor:
        m.total.add_(x)
        return m.total

    return _module(write, total=torch.zeros(2, 3)), _random(2, 3)


def _unread(start: float) -> Made:
    import torch

    def write(m: Any, x: torch.Tensor) -> torch.Tensor:
        m.total.add_(x)
        return x * 2

    return _module(write, total=torch.full((2, 3), start)), _random(2, 3)


def _overwritten() -> Made:
    """What it held before is not read: the last input is kept."""
    import torch

    def write(m: Any, x: torch.Tensor) -> torch.Tensor:
        before = m.last.clone()
        m.last.copy_(x)
        return x - before

    return _module(write, last=torch.zeros(2, 3)), _random(2, 3)


def _mean() -> Made:
    import torch

    def write(m: Any, x: torch.Tensor) -> torch.Tensor:
        m.mean.copy_(m.mean * 0.875 + x.mean(0) * 0.125)
        return x - m.mean

    return _module(write, mean=torch.zeros(3)), _random(4, 3)


def _greatest() -> Made:
    import torch

    def write(m: Any, x: torch.Tensor) -> torch.Tensor:
        m.greatest.copy_(torch.maximum(m.greatest, x))
        return m.greatest - x

    return _module(write, greatest=torch.zeros(2, 3)), _random(2, 3)


def _twice() -> Made:
    """Two writes to one buffer in a call, and a read between them."""
    import torch

    def write(m: Any, x: torch.Tensor) -> torch.Tensor:
        m.total.add_(x)
        between = m.total * 2
        m.total.mul_(0.5)
        return between + m.total

    return _module(write, total=torch.zeros(2, 3)), _random(2, 3)


def _cache() -> Made:
    """Keys and values of the tokens so far; each call is a token."""
    import torch

    def write(m: Any, key: torch.Tensor, value: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
        m.keys.index_copy_(2, at, key)
        m.values.index_copy_(2, at, value)
        return torch.softmax(key @ m.keys.transpose(-1, -2), -1) @ m.values

    empty = torch.zeros(1, 2, 8, 4)
    one = (1, 2, 1, 4)
    inputs = lambda call: (torch.randn(one), torch.randn(one), torch.tensor([3 + call]))  # noqa: E731
    return _module(write, keys=empty, values=empty.clone()), inputs


def _masked_cache() -> Made:
    """As a language model has it: a token sees itself and those before it."""
    import torch

    def write(m: Any, key: torch.Tensor, value: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
        m.keys.index_copy_(2, at, key)
        m.values.index_copy_(2, at, value)
        seen = torch.arange(8) <= at
        return torch.nn.functional.scaled_dot_product_attention(key, m.keys, m.values, attn_mask=seen[None, None, None])

    empty = torch.zeros(1, 2, 8, 4)
    one = (1, 2, 1, 4)
    inputs = lambda call: (torch.randn(one), torch.randn(one), torch.tensor([call]))  # noqa: E731
    return _module(write, keys=empty, values=empty.clone()), inputs


def _slice() -> Made:
    import torch

    def write(m: Any, x: torch.Tensor) -> torch.Tensor:
        m.cache[:, 2:4] = x
        return m.cache.sum(-1)

    return _module(write, cache=torch.zeros(2, 8, 4)), _random(2, 2, 4)


def _added_slice() -> Made:
    """One half of the buffer grows, of the other nothing is written."""
    import torch

    def write(m: Any, x: torch.Tensor) -> torch.Tensor:
        m.cache[:, 4:].add_(x)
        return m.cache + 1

    return _module(write, cache=torch.zeros(2, 8)), _random(2, 4)


def _index_put() -> Made:
    import torch

    def write(m: Any, x: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        m.cache[rows] = x
        return m.cache.sum(-1)

    rows = ((0, 5), (1, 4), (5, 2), (3, 0), (2, 5))
    return _module(write, cache=torch.zeros(6, 4)), lambda call: (torch.randn(2, 4), torch.tensor(rows[call]))


def _scatter() -> Made:
    import torch

    def write(m: Any, x: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
        m.cache.scatter_(1, columns, x)
        return m.cache * 2

    columns = ((0,), (3,)), ((1,), (2,)), ((0,), (0,)), ((3,), (1,)), ((2,), (2,))
    return _module(write, cache=torch.zeros(2, 4)), lambda call: (torch.randn(2, 1), torch.tensor(columns[call]))


def _ring() -> Made:
    """The last three inputs, in the place that the number of the call gives: the fourth overwrites the first."""
    import torch

    def write(m: Any, x: torch.Tensor, number: torch.Tensor) -> torch.Tensor:
        m.ring.index_copy_(0, number % 3, x)
        return m.ring.sum(0) + x

    return _module(write, ring=torch.zeros(3, 4)), lambda call: (torch.randn(1, 4), torch.tensor([call]))


def _counted_ring() -> Made:
    """A ring that keeps its own position."""
    import torch

    def write(m: Any, x: torch.Tensor) -> torch.Tensor:
        m.ring.index_copy_(0, m.number % 3, x)
        m.number.add_(1)
        return m.ring.sum(0) + x

    return _module(write, ring=torch.zeros(3, 4), number=torch.zeros(1, dtype=torch.int64)), _random(1, 4)


def _window() -> Made:
    """A window over a signal that moves on with each call."""
    import torch

    def write(m: Any, x: torch.Tensor) -> torch.Tensor:
        m.window.copy_(torch.cat([m.window[:, 2:], x], 1))
        return (m.window * torch.arange(6)).sum(1)

    return _module(write, window=torch.zeros(2, 6)), _random(2, 2)


def _flags() -> Made:
    import torch

    def write(m: Any, x: torch.Tensor) -> torch.Tensor:
        m.seen.logical_or_(x > 1)
        return torch.where(m.seen, x, 0)

    return _module(write, seen=torch.zeros(2, 3, dtype=torch.bool)), _random(2, 3)


def _two(second: float = 0.0) -> Made:
    """Two buffers of one shape that are written differently."""
    import torch

    def write(m: Any, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        m.plus.add_(x)
        m.minus.sub_(x * 2)
        return m.plus * 2, m.minus + x

    return _module(write, plus=torch.zeros(2, 3), minus=torch.full((2, 3), second)), _random(2, 3)


def _between() -> Made:
    """asinh falls back: the program has a step of ExecuTorch's own before the delegate that writes."""
    import torch

    def write(m: Any, x: torch.Tensor) -> torch.Tensor:
        m.total.add_(torch.asinh(x))
        return x * m.total

    return _module(write, total=torch.zeros(2, 3)), _random(2, 3)


def _reserved() -> Made:
    """Buffers of two submodules, named so that coremltools renames them."""
    import torch

    class Pair(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = torch.nn.Sequential(_total()[0], _total()[0])

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.parts(x)

    return Pair().eval(), _random(2, 3)


CASES: tuple[Stateful, ...] = (
    Stateful("counter", _counter, Level.SMOKE),
    Stateful("counter-of-int64", partial(_counter, 1, "int64")),
    Stateful("counter-in-steps-of-999", partial(_counter, 999)),
    Stateful("counter-without-input", _counted),
    Stateful("total", _total, Level.SMOKE),
    Stateful("total-from-3", partial(_total, 3.0), Level.SMOKE),
    Stateful("total-of-float16", partial(_total, 0.0, "float16")),
    Stateful("total-returned", _returned),
    Stateful("total-unread", partial(_unread, 0.0)),
    Stateful("total-unread-from-3", partial(_unread, 3.0)),
    Stateful("last-input", _overwritten),
    Stateful("running-mean", _mean),
    Stateful("greatest", _greatest),
    Stateful("written-twice", _twice),
    Stateful("key-value-cache", _cache, Level.SMOKE),
    Stateful("key-value-cache-masked", _masked_cache),
    Stateful("slice-of-cache", _slice),
    Stateful("slice-added-to", _added_slice),
    Stateful("index-put", _index_put),
    Stateful("scatter", _scatter),
    Stateful("ring", _ring),
    Stateful("ring-with-position", _counted_ring),
    Stateful("window", _window),
    Stateful("flags", _flags),
    Stateful("two-buffers", _two, Level.SMOKE),
    Stateful("two-buffers-one-from-2", partial(_two, 2.0)),
    Stateful("after-fallback", _between),
    Stateful("two-parts", _reserved),
)


@cache
def cases() -> tuple[Case, ...]:
    """A case of each module as it is, then one with its buffers left to ExecuTorch."""
    left = Partitioning(options=((LEFT, False),))
    ways = [(f"seed-{SEED}", AS_IT_IS), (f"{LEFT}=False", left)]
    return tuple(
        Case(
            id=f"{SUITE}/{case.name}/float32/{label}",
            kind=Kind.STATE,
            op=f"{SUITE}.{case.name}",
            api=f"{SUITE}.{case.name}",
            dtype="float32",
            origin=SUITE,
            level=case.level if partitioning is AS_IT_IS else Level.STANDARD,
            build=partial(_build, case, partitioning),
        )
        for label, partitioning in ways
        for case in CASES
    )


def _build(case: Stateful, partitioning: Partitioning) -> Built:
    import torch

    torch.manual_seed(SEED)
    module, inputs = case.make()
    first, *then = [inputs(call) for call in range(CALLS)]
    return Built(module, first, SEED, partitioning=partitioning, calls=tuple(map(Arguments, then)))
