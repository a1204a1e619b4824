"""Operators between a convolution and a linear layer, so that Core ML has a reason to use the Apple Neural Engine.

Core ML keeps a program of one small operator on the CPU even where the ANE could run it, so such a program says little
about the ANE. Here the operator stands as it does in a network: a 1x1 convolution of 16 channels gives its first
floating-point input, a linear layer takes its result.

    ops/aten.gelu.default/float32/ane:   conv2d [1, 16, 8, 8] -> aten.gelu.default(float32(1, 16, 8, 8)) -> linear

The convolution exchanges channels and halves: one weight in a row is 0.5, the others are 0. So every product and sum
in it is exact in fp16, and what reaches the operator is what its call draws, in its domain, on or off a discontinuity,
in every precision. Further tensors of a call are inputs or constants as the call says.

The cases run only on units that may use the ANE (`Case.runs_on`), or where one is named by its id. Their calls, and
why an operator has none, are the index beside this file, written by `coreml-harness index ane`.
"""

from __future__ import annotations

import functools
import json
import math
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cases.calls import Call, parse, shown
from harness.cases.case import Built, Case, CaseFault
from harness.evidence.environment import version_of
from harness.evidence.made_with import first_line, read_lines
from harness.evidence.universe import Universe
from harness.evidence.vocabulary import HarnessError, Kind, Level

if TYPE_CHECKING:
    import torch

SUITE, ORIGIN = "ops", "ane"
#: Of the convolution, in and out: a multiple of 16, as the ANE lays out its data.
CHANNELS = 16
#: Rows of the convolution's image where the number of values allows it.
HEIGHT = 8
#: What one weight in a row of the convolution is, the others being 0.
SCALE = 0.5
#: Of the linear layer.
OUT_FEATURES = 16
#: The linear layer of an ML Program takes up to this rank; dimensions before the last are joined above it.
LINEAR_RANK = 3
NO_SEED = "has no seed call: suites/ops/uncovered.yaml, or a case of another kind (`beside`, OpInfo's), covers it"


@dataclass(frozen=True)
class Row:
    """A line of the index: an operator with the call that stands between the layers, or why there is none."""

    op: str
    call: str = ""
    left_out: str = ""

    def to_line(self) -> str:
        return json.dumps([self.op, self.call, self.left_out])

    @classmethod
    def from_line(cls, line: str) -> Row:
        return cls(*json.loads(line))


#: The index; its first line has the version of torch it was made with.
PATH = Path(__file__).with_name("ane.jsonl")


def to_text(rows: Iterable[Row], torch_version: str) -> str:
    return first_line({"torch": torch_version}) + "".join(f"{row.to_line()}\n" for row in rows)


@functools.cache
def _index() -> tuple[Row, ...]:
    lines = read_lines(PATH, {"torch": version_of("torch") or "-"}, "index of cases for the ANE")
    return tuple(Row.from_line(line) for line in lines)


@functools.cache
def cases() -> tuple[Case, ...]:
    """A case an operator. Makes no tensors. Raises `HarnessError` when there is no index for the installed torch."""
    return tuple(
        Case(
            id=f"{SUITE}/{row.op}/float32/{ORIGIN}",
            kind=Kind.OPERATOR,
            op=row.op,
            api=row.op,
            dtype="float32",
            origin=ORIGIN,
            level=Level.STANDARD,
            build=functools.partial(build, row.call),
            ane=True,
        )
        for row in _index()
        if row.call
    )


def left_out(universe: Universe) -> Mapping[str, str]:
    """Operators of the universe that have no such case, each with the reason."""
    rows = {row.op: row for row in _index()}
    return {
        op: rows[op].left_out if op in rows else NO_SEED
        for op in universe.operators
        if op not in rows or rows[op].left_out
    }


def fed(call: Call) -> int | None:
    """The number, among the call's tensors, of the one that comes out of the convolution: the first of dtype float32
    that the program does not hold. None where there is none.

    >>> fed(parse("aten.addmm.default(float32(3, constant=True), float32(2, 4), float32(4, 3, constant=True))"))
    1
    """
    for number, tensor in enumerate(call.tensors()):
        if tensor.dtype == "float32" and not tensor.constant:
            return number
    return None


def place_of(call: Call) -> int:
    """The place of that tensor among the inputs of the call."""
    return sum(not tensor.constant for tensor in call.tensors()[: fed(call)])


def image(count: int) -> tuple[int, int, int, int]:
    """The convolution's shape, NCHW, for an operator that takes `count` values: the smallest that has as many.

    >>> image(1024), image(48), image(50)
    ((1, 16, 8, 8), (1, 16, 1, 3), (1, 16, 1, 4))
    """
    pixels = max(1, math.ceil(count / CHANNELS))
    height = HEIGHT if pixels % HEIGHT == 0 else 1
    return 1, CHANNELS, height, pixels // height


def build(text: str) -> Built:
    """The program around a call given as text; the same text always draws the same values."""
    seed = zlib.crc32(text.encode())
    try:
        call = parse(text)
        return Built(*module_and_inputs(call, seed), seed, call=shown(call))
    except HarnessError as error:
        raise CaseFault(str(error)) from None


def module_and_inputs(call: Call, seed: int) -> tuple[torch.nn.Module, tuple[torch.Tensor, ...]]:
    """Convolution, the call, linear layer; the image, and the other inputs of the call.

    Of several results the first is taken, as a network does with those of a pooling or a normalisation. Raises
    `HarnessError` when the call has no input for the convolution to give, or its first result is no tensor.
    """
    import torch

    from harness.cases import generated
    from harness.cases.opinfo import on_fp16_grid

    if fed(call) is None:
        raise HarnessError(f"{call.op}: no floating-point input for a convolution to give")
    operator, inputs = generated.module_and_inputs(call, seed)
    place = place_of(call)
    values = inputs[place]
    others = (*inputs[:place], *inputs[place + 1 :])
    shape, count = values.shape, values.numel()

    generator = torch.Generator().manual_seed(seed)
    convolution = torch.nn.Conv2d(CHANNELS, CHANNELS, 1, bias=False)
    convolution.weight.data = SCALE * torch.eye(CHANNELS).flip(1)[:, :, None, None]
    whole = torch.zeros(image(count))
    whole.view(-1)[:count] = values.reshape(-1)
    pixels = (whole / SCALE).flip(1)  # the inverse of the convolution

    with torch.no_grad():
        result = first(operator(*inputs))
    features = result.shape[-1] if result.dim() else 1
    linear = torch.nn.Linear(features, OUT_FEATURES)
    for parameter in (linear.weight, linear.bias):
        drawn = torch.rand(parameter.shape, generator=generator) * 2 - 1
        parameter.data = on_fp16_grid(drawn)

    class BetweenConvolutionAndLinear(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution, self.operator, self.linear = convolution, operator, linear

        def forward(self, x: torch.Tensor, *others: torch.Tensor) -> torch.Tensor:
            x = self.convolution(x)
            if x.shape != shape:
                x = (x if x.numel() == count else x.flatten()[:count]).reshape(shape)
            y = first(self.operator(*others[:place], x, *others[place:]))
            if y.dtype != self.linear.weight.dtype:
                y = y.to(self.linear.weight.dtype)
            if y.dim() == 0 or y.dim() > LINEAR_RANK:
                y = y.reshape(-1, features)
            return self.linear(y)

    return BetweenConvolutionAndLinear().eval(), (pixels, *others)


def first(result: Any) -> torch.Tensor:
    """The first result of an operator, which may give several, or a list."""
    import torch

    while isinstance(result, (tuple, list)) and result:
        result = result[0]
    if not isinstance(result, torch.Tensor):
        raise HarnessError(f"its first result is no tensor but {type(result).__name__}")
    return result
