"""Networks for images and video: torchvision's and timm's, and transformers' for images."""

from __future__ import annotations

import functools
from typing import Any

from harness.cases.models.model import Made, Model, only, transformers
from harness.cases.models.settle import settled


def torchvision_model(name: str, size: int = 224, **options: Any) -> Made:
    import torch

    from harness.cases.torchvision_ops import import_torchvision

    import_torchvision()
    from torchvision import models

    module = settled(getattr(models, name)(weights=None, **options))
    return Made(module, (torch.randn(1, 3, size, size),))


def _vit() -> Made:
    import torch

    config = transformers().ViTConfig(
        hidden_size=192, num_hidden_layers=4, num_attention_heads=3, intermediate_size=768, num_labels=100
    )
    return Made(only(transformers().ViTForImageClassification(config), "logits"), (torch.randn(1, 3, 224, 224),))


MODELS: tuple[Model, ...] = (
    Model(
        "mobilenet_v2",
        "torchvision.models.mobilenet_v2",
        "vision",
        functools.partial(torchvision_model, "mobilenet_v2"),
    ),
    Model("resnet18", "torchvision.models.resnet18", "vision", functools.partial(torchvision_model, "resnet18")),
    Model("vit", "transformers.ViTForImageClassification", "vision", _vit),
)
