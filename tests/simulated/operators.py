"""Small modules lowered through ExecuTorch's Core ML partitioner, to be run on the simulated host."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F

from harness.cases.case import Built
from harness.evidence.recipe import Recipe
from harness.lowering.lower import export, lower
from harness.lowering.program import DelegateCall, GetItem, Input, LoweredProgram, UnpackedDelegate, Value
from harness.units.base import Feature
from harness.units.boundary import from_feature, to_feature


class Function(torch.nn.Module):
    """A function as a module, with the layer it uses."""

    def __init__(self, function: Callable[..., Any], layer: torch.nn.Module | None = None) -> None:
        super().__init__()
        self.function = function
        self.layer = layer

    def forward(self, *inputs: torch.Tensor) -> Any:
        return self.function(*inputs) if self.layer is None else self.function(self.layer, *inputs)


class _Counter(torch.nn.Module):
    """Adds its input to a buffer, which the partitioner turns into Core ML state."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("total", torch.zeros(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.total.add_(x)
        return self.total * 2


def _values(*shape: int) -> torch.Tensor:
    """Distinct values on the fp16 grid in [-2, 2)."""
    count = max(1, torch.Size(shape).numel())
    return (((torch.arange(count) * 37 + 11) % 64) / 16 - 2).reshape(shape)


def _layer(kind: Callable[..., torch.nn.Module], *arguments: Any) -> torch.nn.Module:
    torch.manual_seed(0)
    return kind(*arguments)


#: Name -> (module, inputs).
CASES: dict[str, Callable[[], tuple[torch.nn.Module, tuple[torch.Tensor, ...]]]] = {
    "add": lambda: (Function(torch.add), (_values(2, 3), _values(3))),
    "sub": lambda: (Function(torch.sub), (_values(2, 3), _values(2, 3) * 0.5)),
    "mul": lambda: (Function(torch.mul), (_values(2, 3), _values(2, 1))),
    "relu": lambda: (Function(torch.relu), (_values(2, 3),)),
    "gelu": lambda: (Function(F.gelu), (_values(2, 3),)),
    "sigmoid": lambda: (Function(torch.sigmoid), (_values(2, 3),)),
    "softmax": lambda: (Function(lambda x: torch.softmax(x, -1)), (_values(2, 3),)),
    "mean": lambda: (Function(lambda x: x.mean(1)), (_values(2, 4),)),
    "matmul": lambda: (Function(torch.matmul), (_values(2, 3), _values(3, 4))),
    "linear": lambda: (Function(lambda layer, x: layer(x), _layer(torch.nn.Linear, 3, 4)), (_values(2, 3),)),
    "conv2d": lambda: (Function(lambda layer, x: layer(x), _layer(torch.nn.Conv2d, 2, 3, 3)), (_values(1, 2, 5, 5),)),
    "layer_norm": lambda: (Function(lambda layer, x: layer(x), _layer(torch.nn.LayerNorm, 4)), (_values(2, 4),)),
    "bool_output": lambda: (Function(torch.gt), (_values(2, 3), _values(2, 3).flip(1))),
    "bool_input": lambda: (Function(torch.where), (_values(2, 3) > 0, _values(2, 3), _values(2, 3) * 4)),
    "integer": lambda: (Function(torch.add), (torch.arange(6).reshape(2, 3) - 3, torch.tensor([1, 70000, -5]))),
    "float16": lambda: (Function(lambda x: x * 2), (_values(2, 3).half(),)),
    "float64": lambda: (Function(lambda x: x * 2), (_values(2, 3).double(),)),
    "rank_0": lambda: (Function(lambda x: x * 2 + 1), (torch.tensor(1.5),)),
    "two_outputs": lambda: (Function(lambda x: (x + 1, x * 2)), (_values(2, 3),)),
    "state": lambda: (_Counter(), (_values(3),)),
}


def partly_delegated() -> tuple[torch.nn.Module, tuple[torch.Tensor, ...]]:
    """Core ML has no asinh: it falls back, between two delegates."""
    return Function(lambda x, y: torch.asinh(x * 2) - y), (_values(2, 3), _values(3))


@functools.cache
def lowered(name: str, recipe: str = "fp16-ios18") -> tuple[torch.nn.Module, tuple[torch.Tensor, ...], LoweredProgram]:
    """The module, its inputs and the lowered program, which must hold exactly one delegate."""
    module, inputs = CASES[name]()
    program = lower_module(module, inputs, recipe)
    if len(program.delegates) != 1:
        raise AssertionError(f"{name}: {len(program.delegates)} delegates")
    return module, inputs, program


def lower_module(
    module: torch.nn.Module, inputs: tuple[torch.Tensor, ...], recipe: str = "fp16-ios18"
) -> LoweredProgram:
    result = lower(export(Built(module.eval(), inputs, seed=0)), Recipe.parse(recipe))
    if result.program is None:
        raise AssertionError(result.failure or result.unplannable)
    return result.program


def unpack(program: LoweredProgram, folder: Path) -> UnpackedDelegate:
    folder.mkdir(parents=True)
    return program.delegates[0].unpack(folder)


def features_of(program: LoweredProgram, inputs: tuple[torch.Tensor, ...], features: list[Feature]) -> list[Any]:
    """The delegate's input arrays: values by the delegate node's arguments, converted as the runtime does."""
    values = _inputs(program, inputs)
    step = next(step for step in program.steps if isinstance(step, DelegateCall))
    arguments = [values[a.number] if isinstance(a, Value) else a for a in step.args]
    return [to_feature(argument, feature)[0] for argument, feature in zip(arguments, features, strict=True)]


def user_outputs(program: LoweredProgram, outputs: list[Any]) -> list[torch.Tensor]:
    """What the user gets from the delegate's outputs."""
    specs = program.delegates[0].outputs  # a buffer turned into state still has its place at the end of these
    results = [
        from_feature(array, spec, str(i))[0] for i, (array, spec) in enumerate(zip(outputs, specs, strict=False))
    ]
    values = {step.out.number: results[step.index] for step in program.steps if isinstance(step, GetItem)}
    return [values[output.number] for output in program.outputs]


def _inputs(program: LoweredProgram, inputs: tuple[torch.Tensor, ...]) -> dict[int, Any]:
    user = iter(inputs)
    return {i.value.number: _tensor(i, user) for i in program.inputs}


def _tensor(placeholder: Input, user: Any) -> torch.Tensor | None:
    return next(user) if placeholder.kind == "user" else placeholder.tensor
