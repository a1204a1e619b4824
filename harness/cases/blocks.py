"""Blocks as text: several calls of operators, one on the results of others, as a module of a network makes them.

    x0 = float32(1, 32, 128)
    c0 = float32(128, 128, low=-0.0625, high=0.0625, constant=True)
    linear = aten.linear.default(x0, c0)
    gelu = aten.gelu.default(linear)
    return gelu

`x` are inputs, `c` constants; tensors and calls are those of `calls`. Two blocks are of the same structure when they
differ by sizes and ranges alone.
"""

from __future__ import annotations

import hashlib
import keyword
import zlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.cases.calls import Call, Name, Ref, TensorSpec, parse, parse_tensor, render
from harness.cases.case import Built, CaseFault
from harness.cases.drawing import draw
from harness.cases.index.generated import overload
from harness.evidence.names import OpName
from harness.evidence.vocabulary import HarnessError

if TYPE_CHECKING:
    import torch

#: Arguments that are sizes, or follow from them.
SIZES = frozenset(
    {"size", "shape", "sizes", "normalized_shape", "output_size", "repeats", "split_size", "split_sizes", "start"}
    | {"end", "step", "length", "scale", "groups", "num_groups", "chunks", "index", "kernel_size", "sections", "N", "C"}
    | {"HxW", "group", "scale_factors", "scales_h", "scales_w"}
)


@dataclass(frozen=True)
class Block:
    """Tensors by name; calls by the name of their result, in order, whose arguments are `Ref`s; what is returned."""

    tensors: Mapping[str, TensorSpec]
    calls: Mapping[str, Call]
    results: tuple[Ref, ...]

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self) -> list[str]:
        given = {**self.tensors, **self.calls}
        returned = ", ".join(map(str, self.results))
        return [*(f"{name} = {value}" for name, value in given.items()), f"return {returned}"]

    @property
    def inputs(self) -> dict[str, TensorSpec]:
        return {name: tensor for name, tensor in self.tensors.items() if not tensor.constant}

    @property
    def constants(self) -> dict[str, TensorSpec]:
        return {name: tensor for name, tensor in self.tensors.items() if tensor.constant}

    @property
    def elements(self) -> int:
        """Of the largest of its inputs and constants."""
        return max((_elements(tensor) for tensor in self.tensors.values()), default=0)

    @property
    def structure(self) -> str:
        """The same for blocks that differ by sizes and ranges alone."""
        kinds = [f"{name} {t.dtype} {len(t.shape)} {t.constant}" for name, t in self.tensors.items()]
        calls = [f"{name} {_structure(call)}" for name, call in self.calls.items()]
        return digest("\n".join([*kinds, *calls, *map(str, self.results)]))


def _elements(tensor: TensorSpec) -> int:
    count = 1
    for size in tensor.shape:
        count *= size
    return count


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:6]


def _structure(call: Call) -> str:
    """A call without its sizes."""
    names = [argument.name for argument in overload(call.op)._schema.arguments]
    given = {**dict(zip(names, call.args, strict=False)), **call.kwargs}
    return f"{call.op} {[(name, _plain(value)) for name, value in given.items() if name not in SIZES]}"


def _plain(value: Any) -> str:
    return "float" if isinstance(value, float) else render(value)


def numbered(tensors: Mapping[Ref, TensorSpec], calls: Mapping[str, Call], results: tuple[Ref, ...]) -> Block:
    """A block whose names are those of its own: `x0`, `c0`, `linear`, `linear_1`, in the order of their use."""
    counts: Counter[str] = Counter()
    outside: dict[Ref, str] = {}
    inside: dict[str, str] = {}

    def named(leaf: Any) -> Any:
        if not isinstance(leaf, Ref):
            return leaf
        if leaf.name in inside:
            return Ref(inside[leaf.name], leaf.index)
        if leaf not in outside:
            letter = "c" if tensors[leaf].constant else "x"
            outside[leaf] = f"{letter}{counts[letter]}"
            counts[letter] += 1
        return Ref(outside[leaf])

    made: dict[str, Call] = {}
    for name, call in calls.items():
        call = call.map_leaves(named)
        packet = OpName.parse(call.op).packet.strip("_")
        packet += "_" * keyword.iskeyword(packet)  # `aten.__and__`
        inside[name] = f"{packet}_{counts[packet]}" if counts[packet] else packet
        counts[packet] += 1
        made[inside[name]] = call
    return Block(
        {name: tensors[ref] for ref, name in outside.items()},
        made,
        tuple(named(ref) for ref in results),
    )


def read_block(lines: list[str]) -> Block:
    """Read a block. Raises `HarnessError` naming what is not understood."""
    tensors: dict[str, TensorSpec] = {}
    calls: dict[str, Call] = {}
    for line in lines:
        if line.startswith("return "):
            known = tensors.keys() | calls.keys()
            results = parse(f"return_({line.removeprefix('return ')})", known).refs()
            return Block(tensors, calls, tuple(results))
        name, _, text = line.partition(" = ")
        if text.split("(")[0].count(".") >= 1:
            calls[name] = parse(text, tensors.keys() | calls.keys())
        else:
            tensors[name] = parse_tensor(text)
    raise HarnessError("a block that returns nothing")


def build(text: str) -> Built:
    """The module and inputs of a block given as text; the same text always draws the same values."""
    seed = zlib.crc32(text.encode())
    try:
        return Built(*module_and_inputs(read_block(text.splitlines()), seed), seed)
    except HarnessError as error:
        raise CaseFault(str(error)) from None


def module_and_inputs(block: Block, seed: int) -> tuple[torch.nn.Module, tuple[torch.Tensor, ...]]:
    """A module that makes the calls, its constants as buffers, and its inputs, drawn from `seed`.

    Raises `HarnessError` for an operator torch does not have.
    """
    import torch

    try:
        operators = {call.op: overload(call.op) for call in block.calls.values()}
    except AttributeError as error:
        raise HarnessError(f"torch has no such operator: {error}") from None
    generator = torch.Generator().manual_seed(seed)
    drawn = {name: draw(tensor, generator) for name, tensor in block.tensors.items()}

    class Blocks(torch.nn.Module):
        """Makes the calls on its inputs and its constants."""

        def __init__(self) -> None:
            super().__init__()
            for name in block.constants:
                self.register_buffer(name, drawn[name])

        def forward(self, *inputs: torch.Tensor) -> Any:
            values: dict[str, Any] = dict(zip(block.inputs, inputs, strict=True))
            values |= {name: self.get_buffer(name) for name in block.constants}

            def fill(value: Any) -> Any:
                if isinstance(value, list):
                    return [fill(item) for item in value]
                if isinstance(value, Ref):
                    found = values[value.name]
                    return found if value.index is None else found[value.index]
                return getattr(torch, value.name) if isinstance(value, Name) else value

            for name, call in block.calls.items():
                arguments = {key: fill(value) for key, value in call.kwargs.items()}
                values[name] = operators[call.op](*[fill(value) for value in call.args], **arguments)
            results = [fill(ref) for ref in block.results]
            return results[0] if len(results) == 1 else tuple(results)

    return Blocks().eval(), tuple(drawn[name] for name in block.inputs)
