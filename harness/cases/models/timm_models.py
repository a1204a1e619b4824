"""timm's networks that are used most, of kinds that torchvision and transformers have not."""

from __future__ import annotations

import functools
from typing import Any

from harness.cases.models.model import Made, Model
from harness.cases.models.vision import CLASSES, classified


def timm_model(name: str, size: int, **options: Any) -> Made:
    """By timm's own name and arguments. Raises `ImportError` where it is not installed."""
    from harness.cases.torchvision_ops import import_torchvision

    import_torchvision()
    import timm

    return classified(timm.create_model(name, pretrained=False, num_classes=CLASSES, **options), size)


def _timm(short: str, name: str, size: int, **options: Any) -> Model:
    return Model(short, f"timm.models.{name}", "vision", functools.partial(timm_model, name, size, **options))


MODELS: tuple[Model, ...] = (
    _timm("deit", "deit_tiny_patch16_224", 64, img_size=64, depth=3),
    _timm("inception_v4", "inception_v4", 96),
    _timm("mobilenet_v4", "mobilenetv4_conv_small_035", 64),
    _timm("convnext_v2", "convnextv2_atto", 64, depths=(1, 1, 2, 1), dims=(16, 32, 64, 96)),
    _timm("repvgg", "repvgg_a0", 64),
    _timm("mobilevit", "mobilevit_xxs", 64),
    _timm("fastvit", "fastvit_t8", 64, layers=(1, 1, 1, 1)),
    _timm("eva02", "eva02_tiny_patch14_224", 56, img_size=56, depth=3),
    _timm("beit", "beit_base_patch16_224", 64, img_size=64, depth=3, embed_dim=96, num_heads=3),
    _timm(
        "maxvit",
        "maxvit_tiny_tf_224",
        64,
        img_size=64,
        embed_dim=(32, 64),
        depths=(1, 2),
        block_type=("M", "M"),
        stem_width=32,
    ),
    _timm("ghostnet", "ghostnet_050", 64),
    _timm("edgenext", "edgenext_xx_small", 64),
)
