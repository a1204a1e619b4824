"""Whole models as cases: built from their configurations, weights seeded, nothing downloaded. A file a family."""

from __future__ import annotations

import functools

from harness.cases.case import Case
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
from harness.cases.models.model import SEED, Model, build
from harness.evidence.vocabulary import Kind

SUITE = "models"

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
            family=model.family,
            level=model.level,
            build=functools.partial(build, model),
            whole_model=True,
            recipes=model.recipes,
        )
        for model in MODELS
    )


__all__ = ["MODELS", "SEED", "SMALL", "SUITE", "Model", "build", "cases"]
