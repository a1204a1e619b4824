"""Whole models as cases: built from their configurations, weights seeded, nothing downloaded. A file a family."""

from __future__ import annotations

import functools
from collections.abc import Callable

from harness.cases.case import Built, Case
from harness.cases.models import (
    audio,
    dense,
    generative,
    image_transformers,
    language,
    multimodal,
    recurrent,
    timm_models,
    vision,
)
from harness.cases.models.model import SEED, Model, build, build_by
from harness.cases.models.pretrained import published
from harness.evidence.recipe import Recipe
from harness.evidence.vocabulary import Kind

SUITE = "models"
#: What the id of a case ends in whose weights are published ones.
PRETRAINED = "pretrained"

MODELS: tuple[Model, ...] = (
    *vision.MODELS,
    *image_transformers.MODELS,
    *dense.MODELS,
    *timm_models.MODELS,
    *language.MODELS,
    *audio.MODELS,
    *multimodal.MODELS,
    *generative.MODELS,
    *recurrent.MODELS,
)

#: Of the same kinds as some above, small enough to be lowered in many ways.
SMALL: tuple[Model, ...] = (
    Model(
        "mobilenet_v2",
        "torchvision.models.mobilenet_v2",
        "vision",
        functools.partial(vision.torchvision_model, "mobilenet_v2", size=32, width_mult=0.25, num_classes=80),
    ),
    Model("bert", "transformers.BertModel", "language", functools.partial(language.bert, layers=1)),
    Model("llama", "transformers.LlamaForCausalLM", "language", functools.partial(language.llama, layers=1)),
)


#: Those whose small weights are tried at level `standard`: one or two of each kind. The others' are at `full`.
QUANTIZED = frozenset(
    {
        *("mobilenet_v2", "vit"),
        *("bert", "llama_static_attention"),
        *("whisper_encoder", "lstm_quantizable"),
    }
)
#: And one kind of another's: no group of 32 fits its widths.
ALSO_QUANTIZED = frozenset({("swin", "torchao_int4_group32")})


def _later(model: Model, recipe: str) -> bool:
    """Whether a recipe of the model waits for level `full`."""
    quantization = Recipe.parse(recipe).quantization
    return bool(quantization) and model.name not in QUANTIZED and (model.name, quantization) not in ALSO_QUANTIZED


@functools.cache
def cases() -> tuple[Case, ...]:
    """Every model, its weights seeded."""
    return tuple(_case(model, f"seed-{SEED}", functools.partial(build, model)) for model in MODELS)


@functools.cache
def pretrained() -> tuple[Case, ...]:
    """Those that have published weights, with them: of no run that does not ask for them."""
    makers = ((model, published(model)) for model in MODELS)
    return tuple(_case(model, PRETRAINED, functools.partial(build_by, make)) for model, make in makers if make)


def _case(model: Model, weights: str, made: Callable[[], Built]) -> Case:
    return Case(
        id=f"{SUITE}/{model.name}/float32/{weights}",
        kind=Kind.MODEL,
        op=f"model.{model.name}",
        api=model.api,
        dtype="float32",
        origin="model",
        family=model.family,
        level=model.level,
        build=made,
        whole_model=True,
        named=weights != PRETRAINED,
        recipes=tuple(name for name in model.recipes if not _later(model, name)),
        at_full=tuple(name for name in model.recipes if _later(model, name)),
    )


__all__ = ["MODELS", "SEED", "SMALL", "SUITE", "Model", "build", "cases", "pretrained"]
