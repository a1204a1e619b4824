"""Run as a child: lower programs with or without the speedups, and write what was emitted.

`python programs_of.py plain|speedups OUT [CASES]`; OUT gets a pickled dict: `name@recipe` -> `Emitted`. CASES cases are
spread evenly over the suites, a model for every six among them. Plain, each recipe is exported and lowered for itself;
with the speedups both share what they can, and the order is another one.
"""

from __future__ import annotations

import functools
import logging
import pickle
import random
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch.nn import functional as F

from harness.cases import find
from harness.cases.case import Built, Case, CaseFault, at_level
from harness.evidence.recipe import Recipe
from harness.evidence.vocabulary import Level
from harness.lowering import speedups
from harness.lowering.lower import Exported, export, lower

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
#: One of each family: lowering any takes seconds. Of few cases, the first of them.
MODELS = ("bert", "llama_with_state", "resnet18", "vit", "whisper_encoder", "vae_decoder")
CASES_A_MODEL = 6
WEIGHT = torch.linspace(-1, 1, 32).reshape(4, 8)


class Operator(torch.nn.Module):
    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def forward(self, x: torch.Tensor) -> object:
        return OPERATORS[self.name](x)


#: Files of the delegates by name; what else lowering gave, or where and how it failed, as text.
Emitted = tuple[list[tuple[str, bytes]], str]


def lower_one(exported: Exported, recipe: str) -> Emitted:
    result = lower(exported, Recipe.parse(recipe))
    if result.failure is not None:
        return [], repr((result.failure.phase, result.failure.outcome, result.failure.error))
    if result.program is None:
        return [], f"{result.unplannable}, {result.missing_kernels}"
    files = []
    for number, delegate in enumerate(result.program.delegates):
        with tempfile.TemporaryDirectory() as directory:
            delegate.unpack(Path(directory))
            paths = sorted(p for p in Path(directory).rglob("*") if p.is_file())
            files += [(f"{number}/{p.relative_to(directory)}", p.read_bytes()) for p in paths]
    told = [replace(delegate, processed=b"", shared=b"") for delegate in result.program.delegates]
    plan = replace(result.program, delegates=tuple(told))
    return files, f"{plan!r}, {result.missing_kernels}, {result.exported_ops}"


def operators() -> dict[str, Callable[[], Built]]:
    inputs = (torch.linspace(-2, 2, 32).reshape(4, 8),)
    return {name: functools.partial(Built, Operator(name), inputs, 0) for name in OPERATORS}


def spread(count: int) -> list[Case]:
    """Models of several kinds, the rest spread evenly over all suites in turn."""
    if not count:
        return []
    wanted = MODELS[: -(-count // CASES_A_MODEL)]
    models = [case for case in find.suite("models") if case.op.removeprefix("model.") in wanted]
    others = [case for name in find.SUITES if name != "models" for case in at_level(find.suite(name), Level.STANDARD)]
    count -= len(models)
    return [*models, *(others[len(others) * i // count] for i in range(count))]


def main(mode: str, out: str, cases: str = "0") -> None:
    torch.set_num_threads(1)
    import executorch.backends.apple.coreml.partition
    import executorch.exir  # noqa: F401

    logging.disable(logging.WARNING)
    quick = mode == "speedups"
    builds = operators() | {case.id: case.build for case in spread(int(cases))}
    names = list(builds)
    if quick:
        speedups.enable()
        random.Random(0).shuffle(names)
    programs: dict[str, Emitted] = {}
    for name in names:
        recipes = ["fp32-ios18", "fp16-ios18"]
        exported = None
        for recipe in reversed(recipes) if quick else recipes:
            try:
                if exported is None or not quick:
                    exported = export(builds[name]())
                programs[f"{name}@{recipe}"] = lower_one(exported, recipe)
            except CaseFault as error:
                programs[f"{name}@{recipe}"] = [], f"no case: {error}"
    Path(out).write_bytes(pickle.dumps(programs))


if __name__ == "__main__":
    main(*sys.argv[1:])
