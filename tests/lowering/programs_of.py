"""Run as a child: lower operators with or without the speedups, and write what was emitted.

`python programs_of.py plain|speedups OUT`; OUT gets a pickled dict: name -> [(file name, bytes)] of its delegates.
"""

from __future__ import annotations

import logging
import pickle
import sys
import tempfile
from pathlib import Path

import torch
from torch.nn import functional as F

from harness.cases.case import Built
from harness.lowering import speedups
from harness.lowering.lower import export, lower
from harness.lowering.recipe import Recipe

#: One of each kind of work lowering does: composite operators, decompositions, weights, state, several delegates.
OPERATORS = {
    "add": lambda x: x + 1.5,
    "gelu": lambda x: F.gelu(x, approximate="tanh"),
    "softmax": lambda x: torch.softmax(x, -1),
    "linear": lambda x: F.linear(x, WEIGHT, WEIGHT[0, :4]),
    "layer_norm": lambda x: F.layer_norm(x, (8,), WEIGHT[0], WEIGHT[1]),
    "attention": lambda x: F.scaled_dot_product_attention(x[None], x[None], x[None]),
    "conv": lambda x: F.conv1d(x[None], WEIGHT[:2, None, :3].repeat(1, 4, 1), None, 1, 1, 1),
    "topk": lambda x: tuple(torch.topk(x, 2)),
    "einsum": lambda x: torch.einsum("ij,kj->ik", x, x),
    "where": lambda x: torch.where(x > 0, x, x.exp()),
    "several delegates": lambda x: torch.cos(torch.asinh(torch.sin(x))),
    "upsample": lambda x: F.interpolate(x[None], scale_factor=2.0, mode="linear"),
    "cumsum": lambda x: x.cumsum(1),
    "index": lambda x: x[:, [2, 0, 1]],
}
WEIGHT = torch.linspace(-1, 1, 32).reshape(4, 8)


class Operator(torch.nn.Module):
    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def forward(self, x: torch.Tensor) -> object:
        return OPERATORS[self.name](x)


def emitted(name: str, recipe: str) -> list[tuple[str, bytes]]:
    built = Built(Operator(name), (torch.linspace(-2, 2, 32).reshape(4, 8),), 0)
    result = lower(export(built), Recipe.parse(recipe))
    assert result.program is not None, (name, result.failure)
    files = []
    for number, delegate in enumerate(result.program.delegates):
        with tempfile.TemporaryDirectory() as directory:
            delegate.unpack(Path(directory))
            paths = sorted(p for p in Path(directory).rglob("*") if p.is_file())
            files += [(f"{number}/{p.relative_to(directory)}", p.read_bytes()) for p in paths]
    return files


def main(mode: str, out: str) -> None:
    torch.set_num_threads(1)
    import executorch.backends.apple.coreml.partition
    import executorch.exir  # noqa: F401

    logging.disable(logging.WARNING)
    if mode == "speedups":
        speedups.enable()
    recipes = ("fp32-ios18", "fp16-ios18")
    pairs = [(name, recipes[number % 2]) for number, name in enumerate(OPERATORS)]
    programs = {f"{name}@{recipe}": emitted(name, recipe) for name, recipe in [*pairs, ("gelu", "fp32-ios18")]}
    Path(out).write_bytes(pickle.dumps(programs))


if __name__ == "__main__":
    main(*sys.argv[1:])
