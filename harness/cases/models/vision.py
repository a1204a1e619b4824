"""torchvision's networks that classify images, and those of ExecuTorch's examples of that kind.

MobileNetV2 and ResNet18 are as published, at a small image size; the others have each kind of block of theirs, fewer
times and narrower.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from harness.cases.models.model import Made, Model
from harness.cases.models.settle import images, settled
from harness.evidence.vocabulary import Level

#: Images that batch normalisation takes its statistics of.
BATCH = 16
CLASSES = 100


def classified(module: Any, size: int) -> Made:
    """A network called with one square image, settled on several of that size."""
    settled(module, images(BATCH, size))
    return Made(module, (images(1, size),))


def torchvision_models() -> Any:
    """torchvision.models. Raises `ImportError` where it is not installed."""
    from harness.cases.torchvision_ops import import_torchvision

    import_torchvision()
    from torchvision import models

    return models


def torchvision_model(name: str, size: int = 224, **options: Any) -> Made:
    return classified(getattr(torchvision_models(), name)(weights=None, **options), size)


def _bottleneck() -> Made:
    resnet = torchvision_models().resnet
    return classified(resnet.ResNet(resnet.Bottleneck, [2, 1, 1, 1], num_classes=CLASSES), 64)


def _mobilenet_v3() -> Made:
    return torchvision_model("mobilenet_v3_small", 96, num_classes=CLASSES)


def _efficientnet() -> Made:
    models = torchvision_models()
    block = models.efficientnet.MBConvConfig
    fused = models.efficientnet.FusedMBConvConfig
    blocks = [
        fused(1, 3, 1, 16, 16, 1),
        fused(4, 3, 2, 16, 24, 1),
        block(6, 5, 2, 24, 40, 2),
        block(6, 3, 2, 40, 80, 1),
    ]
    return classified(models.EfficientNet(blocks, dropout=0.2, num_classes=CLASSES), 64)


def _convnext() -> Made:
    models = torchvision_models()
    block = models.convnext.CNBlockConfig
    blocks = [block(32, 64, 1), block(64, 128, 1), block(128, None, 2)]
    return classified(models.ConvNeXt(blocks, num_classes=CLASSES), 64)


def _swin(version: int) -> Made:
    """Two blocks a stage: windows as they are and shifted."""
    swin = torchvision_models().swin_transformer
    options: dict[str, Any] = {} if version == 1 else {"block": swin.SwinTransformerBlockV2}
    options["downsample_layer"] = swin.PatchMerging if version == 1 else swin.PatchMergingV2
    module = swin.SwinTransformer(
        patch_size=[4, 4],
        embed_dim=48,
        depths=[2, 2],
        num_heads=[3, 6],
        window_size=[7, 7] if version == 1 else [8, 8],
        num_classes=CLASSES,
        **options,
    )
    return classified(module, 56 if version == 1 else 64)


def _vit() -> Made:
    module = torchvision_models().VisionTransformer(
        image_size=64, patch_size=16, num_layers=3, num_heads=4, hidden_dim=128, mlp_dim=512, num_classes=CLASSES
    )
    return classified(module, 64)


def _regnet() -> Made:
    regnet = torchvision_models().regnet
    params = regnet.BlockParams([1, 2, 2], [32, 64, 128], [16, 16, 16], [1.0, 1.0, 1.0], [2, 2, 2], 0.25)
    return classified(regnet.RegNet(params, num_classes=CLASSES), 64)


def _densenet() -> Made:
    module = torchvision_models().DenseNet(
        growth_rate=16, block_config=(3, 3, 3), num_init_features=32, num_classes=CLASSES
    )
    return classified(module, 64)


def _inception() -> Made:
    """Without two of the four blocks of one kind and size."""
    from torch import nn

    module = torchvision_models().inception_v3(weights=None, num_classes=CLASSES, aux_logits=False, init_weights=False)
    module.Mixed_6c = module.Mixed_6d = nn.Identity()
    return classified(module, 128)


def _mobilenet_v1() -> Made:
    from executorch.examples.models.mlperf_tiny.mobilenet_v1_025 import MobileNetV1025

    return classified(MobileNetV1025(), 96)


def _model(
    name: str, api: str, make: Callable[..., Made], *arguments: Any, level: Level = Level.STANDARD, **options: Any
) -> Model:
    return Model(name, api, "vision", functools.partial(make, *arguments, **options), level=level)


MODELS: tuple[Model, ...] = (
    _model("mobilenet_v2", "torchvision.models.mobilenet_v2", torchvision_model, "mobilenet_v2", 96),
    _model("mobilenet_v3", "torchvision.models.mobilenet_v3_small", _mobilenet_v3),
    _model("resnet18", "torchvision.models.resnet18", torchvision_model, "resnet18", 96),
    _model("resnet_bottleneck", "torchvision.models.resnet.Bottleneck", _bottleneck, level=Level.FULL),
    _model("efficientnet", "torchvision.models.EfficientNet", _efficientnet),
    _model("convnext", "torchvision.models.ConvNeXt", _convnext),
    _model("swin", "torchvision.models.SwinTransformer", _swin, 1),
    _model("swin_v2", "torchvision.models.swin_transformer.SwinTransformerBlockV2", _swin, 2, level=Level.FULL),
    _model("vit_torchvision", "torchvision.models.VisionTransformer", _vit),
    _model("regnet", "torchvision.models.RegNet", _regnet),
    _model("densenet", "torchvision.models.DenseNet", _densenet),
    _model("inception_v3", "torchvision.models.inception_v3", _inception),
    _model(
        "shufflenet_v2",
        "torchvision.models.shufflenet_v2_x0_5",
        torchvision_model,
        "shufflenet_v2_x0_5",
        64,
        num_classes=CLASSES,
    ),
    _model(
        "squeezenet", "torchvision.models.squeezenet1_1", torchvision_model, "squeezenet1_1", 64, num_classes=CLASSES
    ),
    _model("mobilenet_v1", "executorch.examples.models.mlperf_tiny.mobilenet_v1_025.MobileNetV1025", _mobilenet_v1),
)
