"""`Model`: a row of a table of models, and how it is made real: weights seeded and settled, nothing downloaded."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness.cases.case import Arguments, Built, CaseFault
from harness.cases.opinfo import on_fp16_grid
from harness.evidence.recipe import BARE, DEFAULT_RECIPES
from harness.evidence.vocabulary import Level

if TYPE_CHECKING:
    import torch

SEED = 0
#: What a model is asked of: as it is in both precisions and by the bare partitioner, and with small weights.
RECIPES: tuple[str, ...] = (
    *DEFAULT_RECIPES,
    BARE,
    "fp16-ios18-torchao_int8_channel",
    "fp16-ios18-torchao_int4_group32",
    "fp16-ios18-codebook4",
)


@dataclass(frozen=True)
class Made:
    """A module and what it is called with: `module(*inputs, **kwargs)`, and each of `calls` after it, which find what
    the calls before have left in its buffers."""

    module: torch.nn.Module
    inputs: tuple[Any, ...]
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    calls: tuple[Arguments, ...] = ()


@dataclass(frozen=True)
class Model:
    """An architecture, small and true to its family. `make` is called after seeding torch.

    `family` is what it is for, as the page of models groups them: `vision`, `language`, `audio`, `multimodal`,
    `generative`, `recurrent`. `api` is the class or function it comes from. `recipes` are those of level `standard`,
    or of `level`, which is `full` for what others at `standard` are near enough to. `pretrained` makes it with its
    published weights, which needs the network; None where there are none.
    """

    name: str
    api: str
    family: str
    make: Callable[[], Made]
    recipes: tuple[str, ...] = RECIPES
    level: Level = Level.STANDARD
    pretrained: Callable[[], Made] | None = None


def build(model: Model) -> Built:
    """The model in eval mode, its weights and inputs representable in fp16. Raises `CaseFault` where the package it
    comes from is not installed."""
    return build_by(model.make)


def build_by(make: Callable[[], Made]) -> Built:
    """As `build`, whatever makes the model."""
    import torch

    torch.manual_seed(SEED)
    try:
        made = make()
    except ImportError as error:
        raise CaseFault(str(error)) from None
    module = made.module.eval()
    with torch.no_grad():
        for tensor in [*module.parameters(), *module.buffers()]:
            if tensor.is_floating_point():
                tensor.copy_(on_fp16_grid(tensor))
    calls = tuple(Arguments(_on_grid(call.inputs), _on_grid(dict(call.kwargs))) for call in made.calls)
    return Built(module, _on_grid(made.inputs), SEED, kwargs=_on_grid(dict(made.kwargs)), calls=calls)


def _on_grid(arguments: Any) -> Any:
    import torch
    from torch.utils._pytree import tree_map_only

    return tree_map_only(torch.Tensor, on_fp16_grid, arguments)


def transformers() -> Any:
    """The transformers package."""
    return _beside_torchvision("transformers")


def diffusers() -> Any:
    """The diffusers package, which imports transformers."""
    return _beside_torchvision("diffusers")


def _beside_torchvision(name: str) -> Any:
    """A package that imports torchvision where that is installed, which needs its operators declared."""
    from harness.cases.torchvision_ops import import_torchvision

    with contextlib.suppress(ImportError):
        import_torchvision()
    return importlib.import_module(name)


def only(model: Any, *fields: str) -> torch.nn.Module:
    """A model of transformers or diffusers whose output is these fields of its own: one as it is, several a tuple."""
    import torch

    class Only(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *inputs: Any, **kwargs: Any) -> Any:
            found = self.model(*inputs, **kwargs)
            values = tuple(getattr(found, name) for name in fields)
            return values[0] if len(values) == 1 else values

    return Only()
