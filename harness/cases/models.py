"""Whole models as cases: built from their configurations, weights seeded, nothing downloaded."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.cases.case import Built, Case, CaseFault
from harness.cases.opinfo import on_fp16_grid
from harness.evidence.recipe import BARE, DEFAULT_RECIPES
from harness.evidence.vocabulary import Kind, Level

if TYPE_CHECKING:
    import torch

SUITE = "models"
SEED = 0


@dataclass(frozen=True)
class Model:
    """A model: `make` returns the module and its inputs, called after seeding torch."""

    name: str
    api: str
    make: Callable[[], tuple[torch.nn.Module, tuple[torch.Tensor, ...]]]


def _image(size: int = 224) -> tuple[torch.Tensor, ...]:
    import torch

    return (torch.randn(1, 3, size, size),)


def _torchvision(name: str, size: int = 224, **options: Any) -> tuple[torch.nn.Module, tuple[torch.Tensor, ...]]:
    from harness.cases.torchvision_ops import import_torchvision

    import_torchvision()
    from torchvision import models

    return settled(getattr(models, name)(weights=None, **options)), _image(size)


def settled(model: torch.nn.Module) -> torch.nn.Module:
    """Give batch normalisation the statistics of its own activations, as training would have.

    With the initial mean 0 and variance 1 the activations of a deep untrained network shrink or grow layer by layer,
    and comparing its outputs says little.
    """
    import torch

    norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    if norms:
        for norm in norms:
            norm.momentum = None  # cumulative average: the statistics of what is fed below
        model.train()
        with torch.no_grad():
            model(torch.randn(2, 3, 224, 224))
    return model


def _transformers() -> Any:
    """The transformers package. It imports torchvision where that is installed, which needs its operators declared."""
    from harness.cases.torchvision_ops import import_torchvision

    with contextlib.suppress(ImportError):
        import_torchvision()
    import transformers

    return transformers


def _vit() -> tuple[torch.nn.Module, tuple[torch.Tensor, ...]]:
    transformers = _transformers()
    config = transformers.ViTConfig(
        hidden_size=192, num_hidden_layers=4, num_attention_heads=3, intermediate_size=768, num_labels=100
    )
    return _Field(transformers.ViTForImageClassification(config), "logits"), _image()


def _bert(layers: int = 4) -> tuple[torch.nn.Module, tuple[torch.Tensor, ...]]:
    import torch

    transformers = _transformers()
    config = transformers.BertConfig(
        vocab_size=1000, hidden_size=128, num_hidden_layers=layers, num_attention_heads=4, intermediate_size=512
    )
    ids = torch.randint(0, 1000, (1, 32))
    mask = torch.ones(1, 32, dtype=torch.int64)
    mask[:, 24:] = 0
    return _Field(transformers.BertModel(config), "last_hidden_state"), (ids, mask)


def _llama(layers: int = 4) -> tuple[torch.nn.Module, tuple[torch.Tensor, ...]]:
    import torch

    transformers = _transformers()
    config = transformers.LlamaConfig(
        vocab_size=1000,
        hidden_size=128,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=384,
        max_position_embeddings=128,
        use_cache=False,
    )
    return _Field(transformers.LlamaForCausalLM(config), "logits"), (torch.randint(0, 1000, (1, 32)),)


def _Field(model: Any, field: str) -> torch.nn.Module:
    """A transformers model reduced to one tensor of its output."""
    import torch

    class Field(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
            return getattr(self.model(*inputs), field)

    return Field()


MODELS: tuple[Model, ...] = (
    Model("mobilenet_v2", "torchvision.models.mobilenet_v2", functools.partial(_torchvision, "mobilenet_v2")),
    Model("resnet18", "torchvision.models.resnet18", functools.partial(_torchvision, "resnet18")),
    Model("vit", "transformers.ViTForImageClassification", _vit),
    Model("bert", "transformers.BertModel", _bert),
    Model("llama", "transformers.LlamaForCausalLM", _llama),
)

#: Of the same kinds, small enough to be lowered in many ways.
SMALL: tuple[Model, ...] = (
    Model(
        "mobilenet_v2",
        "torchvision.models.mobilenet_v2",
        functools.partial(_torchvision, "mobilenet_v2", size=32, width_mult=0.25, num_classes=80),
    ),
    Model("bert", "transformers.BertModel", functools.partial(_bert, layers=1)),
    Model("llama", "transformers.LlamaForCausalLM", functools.partial(_llama, layers=1)),
)


@functools.cache
def cases() -> tuple[Case, ...]:
    return tuple(
        Case(
            id=f"{SUITE}/{model.name}/float32/seed-{SEED}",
            kind=Kind.MODEL,
            op=f"model.{model.name}",
            api=model.api,
            dtype="float32",
            origin="model",
            level=Level.STANDARD,
            build=functools.partial(build, model),
            whole_model=True,
            recipes=(*DEFAULT_RECIPES, BARE),
        )
        for model in MODELS
    )


def build(model: Model) -> Built:
    """The model in eval mode, its weights and inputs representable in fp16. Raises `CaseFault` where the package it
    comes from is not installed."""
    import torch

    torch.manual_seed(SEED)
    try:
        module, inputs = model.make()
    except ImportError as error:
        raise CaseFault(str(error)) from None
    module.eval()
    with torch.no_grad():
        for tensor in [*module.parameters(), *module.buffers()]:
            if tensor.is_floating_point():
                tensor.copy_(on_fp16_grid(tensor))
    return Built(module, tuple(on_fp16_grid(t) for t in inputs), SEED)
