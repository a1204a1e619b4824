"""Programs of several methods, as a language model has for its prompt and for its tokens: each method is a case.

The methods of a program are lowered together, into Core ML packages with a function for each, which share weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from harness.cases.case import Arguments, Built, Case, Method, Partitioning, Refusal
from harness.cases.opinfo import on_fp16_grid
from harness.evidence.vocabulary import Kind, Level, Phase

if TYPE_CHECKING:
    import torch

SUITE = "multifunction"
SEED = 0

ModuleAndInputs = tuple["torch.nn.Module", tuple["torch.Tensor", ...]]


@dataclass(frozen=True)
class Program:
    """`make` gives each method's module and inputs by name, called after seeding torch. `apart`: no weights are shared.
    Each method is called once more for each of `calls`. `refusal` is what lowering it is to end with."""

    name: str
    methods: tuple[str, ...]
    make: Callable[[], Mapping[str, ModuleAndInputs]]
    apart: bool = False
    calls: int = 0
    refusal: Refusal | None = None
    level: Level = Level.STANDARD


def _using(weights: torch.nn.Module, function: Callable[..., Any]) -> torch.nn.Module:
    """A module that calls `function(weights, *inputs)`; several may use the same weights."""
    import torch

    class Using(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weights = weights

        def forward(self, *inputs: torch.Tensor) -> Any:
            return function(self.weights, *inputs)

    return Using().eval()


def _random(*shape: int) -> torch.Tensor:
    import torch

    return on_fp16_grid(torch.randn(*shape))


def _lengths() -> Mapping[str, ModuleAndInputs]:
    """One computation on a prompt and on one token: another shape, the same weights."""
    import torch

    block = torch.nn.Sequential(torch.nn.Linear(16, 32), torch.nn.GELU(), torch.nn.Linear(32, 16)).eval()
    return {"forward": (block, (_random(1, 1, 16),)), "prefill": (block, (_random(1, 8, 16),))}


def _attention() -> Mapping[str, ModuleAndInputs]:
    """Keys and values of earlier tokens come in as inputs, and go out longer."""
    import torch

    layer = torch.nn.Linear(16, 48)

    def attend(query: Any, keys: Any, values: Any) -> Any:
        return torch.softmax(query @ keys.transpose(-1, -2) / 4, -1) @ values

    def prefill(weights: Any, x: Any) -> Any:
        query, keys, values = weights(x).split(16, -1)
        return attend(query, keys, values), keys, values

    def decode(weights: Any, x: Any, past_keys: Any, past_values: Any) -> Any:
        query, keys, values = weights(x).split(16, -1)
        keys, values = torch.cat([past_keys, keys], 1), torch.cat([past_values, values], 1)
        return attend(query, keys, values), keys, values

    past = _random(1, 8, 16), _random(1, 8, 16)
    return {
        "forward": (_using(layer, decode), (_random(1, 1, 16), *past)),
        "prefill": (_using(layer, prefill), (_random(1, 8, 16),)),
    }


def _three() -> Mapping[str, ModuleAndInputs]:
    """Methods with nothing in common: weights, number of inputs and of outputs."""
    import torch

    encoder, decoder = torch.nn.Linear(16, 4), torch.nn.Linear(4, 16)
    return {
        "encode": (_using(encoder, lambda w, x: torch.tanh(w(x))), (_random(2, 16),)),
        "decode": (_using(decoder, lambda w, z: (w(z), z.sum(-1))), (_random(2, 4),)),
        "score": (_using(encoder, lambda w, x, y: ((x - y) ** 2).mean(-1)), (_random(2, 16), _random(2, 16))),
    }


def _integers() -> Mapping[str, ModuleAndInputs]:
    """An embedding, whose indices go in as int64 and come out again."""
    import torch

    table = torch.nn.Embedding(10, 4)
    return {
        "forward": (_using(table, lambda w, i: (w(i), i + 1)), (torch.tensor([[7]]),)),
        "prefill": (_using(table, lambda w, i: w(i)), (torch.tensor([[1, 2, 3]]),)),
    }


def _parts(*falling_back: str) -> Mapping[str, ModuleAndInputs]:
    """The named methods have `asinh` in their midst, which is none of Core ML's: two delegates, not one."""
    import torch

    layers = torch.nn.Sequential(torch.nn.Linear(16, 16), torch.nn.Linear(16, 16))

    def through(between: Callable[[Any], Any]) -> torch.nn.Module:
        return _using(layers, lambda w, x: w[1](between(w[0](x))))

    return {
        name: (through(torch.asinh if name in falling_back else torch.relu), (_random(length, 16),))
        for name, length in (("forward", 1), ("prefill", 4))
    }


def _states() -> Mapping[str, ModuleAndInputs]:
    """Both methods keep a sum of what they were given, each its own; a weight is shared."""
    import torch

    layer = torch.nn.Linear(16, 16)

    class Summing(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = layer
            self.register_buffer("total", torch.zeros(1, 16))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.total.add_(x.sum(0, keepdim=True))
            return self.layer(x) + self.total

    return {
        "forward": (Summing().eval(), (_random(1, 16),)),
        "prefill": (Summing().eval(), (_random(4, 16),)),
    }


def _one_with_state() -> Mapping[str, ModuleAndInputs]:
    """One method keeps a sum, the other nothing."""
    made = _states()
    module, inputs = made["prefill"]
    return {"forward": made["forward"], "prefill": (module.layer, inputs)}  # type: ignore[dict-item]


_TWO = ("forward", "prefill")
_UNEQUAL = Refusal(Phase.PACKAGE, "ValueError", "requires all methods to have the same number of partitions")

PROGRAMS = (
    Program("lengths", _TWO, _lengths),
    Program("attention", _TWO, _attention),
    Program("unrelated", ("encode", "decode", "score"), _three),
    Program("integers", _TWO, _integers),
    Program("lengths-apart", _TWO, _lengths, apart=True),
    Program("unrelated-apart", ("encode", "decode", "score"), _three, apart=True, level=Level.FULL),
    Program("equal-partitions", _TWO, partial(_parts, "forward", "prefill")),
    Program("unequal-partitions", _TWO, partial(_parts, "prefill"), refusal=_UNEQUAL),
    Program("unequal-partitions-apart", _TWO, partial(_parts, "prefill"), apart=True),
    Program("states", _TWO, _states, calls=3),
    Program("states-apart", _TWO, _states, apart=True, calls=3),
    Program("one-with-state", _TWO, _one_with_state, calls=3),
)


@cache
def cases() -> tuple[Case, ...]:
    """A case for each method of each program. Makes no tensors."""
    return tuple(
        Case(
            id=f"{SUITE}/{program.name}/float32/{method}",
            kind=Kind.MULTIFUNCTION,
            op=f"{SUITE}.{program.name}",
            api=f"{SUITE}.{program.name}",
            dtype="float32",
            origin=SUITE,
            level=program.level,
            build=partial(_build, program, method),
        )
        for program in PROGRAMS
        for method in program.methods
    )


def _build(program: Program, method: str) -> Built:
    import torch

    torch.manual_seed(SEED)
    made = program.make()
    beside = tuple(Method(name, *made[name]) for name in program.methods if name != method)
    module, inputs = made[method]
    calls = tuple(Arguments(tuple(_random(*value.shape) for value in inputs)) for _ in range(program.calls))
    partitioning = Partitioning(sharing=not program.apart)
    return Built(
        module,
        inputs,
        SEED,
        partitioning=partitioning,
        method=method,
        beside=beside,
        calls=calls,
        refusal=program.refusal,
    )
