"""timm's networks that are used most, of kinds that torchvision and transformers have not."""

from __future__ import annotations

import functools
from typing import Any

from harness.cases.models.model import Made, Model
from harness.cases.models.vision import CLASSES, classified
from harness.evidence.vocabulary import Level


def timm_model(name: str, size: int, **options: Any) -> Made:
    return classified(_created(name, **options), size)


def _created(name: str, **options: Any) -> Any:
    """By timm's own name and arguments. Raises `ImportError` where it is not installed."""
    from harness.cases.torchvision_ops import import_torchvision

    import_torchvision()
    import timm

    return timm.create_model(name, pretrained=False, num_classes=CLASSES, **options)


def _inception_v4() -> Made:
    """One block of each kind: there are four, seven and three of them."""
    module = _created("inception_v4")
    kinds = {type(block): block for block in reversed(module.features)}
    module.features = module.features[:0].extend(
        block for block in module.features if "Inception" not in type(block).__name__ or block is kinds[type(block)]
    )
    return classified(module, 96)


def _repvgg() -> Made:
    """As trained, three branches a block; two blocks a stage, one of which has a branch that passes its input on."""
    module = _created("repvgg_a0")
    for number, stage in enumerate(module.stages):
        module.stages[number] = stage[:2]
    return classified(module, 64)


def _timm(short: str, name: str, size: int, level: Level = Level.STANDARD, **options: Any) -> Model:
    make = functools.partial(timm_model, name, size, **options)
    return Model(short, f"timm.models.{name}", "vision", make, level=level)


MODELS: tuple[Model, ...] = (
    _timm("deit", "deit_tiny_patch16_224", 64, img_size=64, depth=3),
    Model("inception_v4", "timm.models.inception_v4", "vision", _inception_v4, level=Level.FULL),
    _timm("mobilenet_v4", "mobilenetv4_conv_small_035", 64, Level.FULL),
    _timm("convnext_v2", "convnextv2_atto", 64, depths=(1, 1, 2, 1), dims=(16, 32, 64, 96)),
    Model("repvgg", "timm.models.repvgg_a0", "vision", _repvgg),
    _timm("mobilevit", "mobilevit_xxs", 64, Level.FULL),
    _timm("fastvit", "fastvit_t8", 64, Level.FULL, layers=(1, 1, 1, 1)),
    _timm("eva02", "eva02_tiny_patch14_224", 56, Level.FULL, img_size=56, depth=3),
    _timm("beit", "beit_base_patch16_224", 64, img_size=64, depth=3, embed_dim=96, num_heads=3),
    _timm(
        "maxvit",
        "maxvit_tiny_tf_224",
        64,
        img_size=64,
        embed_dim=(32, 64),
        depths=(1, 1),
        block_type=("M", "M"),
        stem_width=32,
    ),
    _timm("ghostnet", "ghostnet_050", 64, Level.FULL),
    _timm("edgenext", "edgenext_xx_small", 64, Level.FULL, depths=(1, 2, 2, 2)),
)
