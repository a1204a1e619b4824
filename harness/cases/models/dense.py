"""Networks that say something of every place of an image or clip: segmentation, detection, flow, video, more pixels.

Detectors are their backbone and their heads, before boxes are chosen: what a head says is what an application gets from
Core ML, and choosing needs torchvision's compiled operators.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from harness.cases.models.model import Made, Model
from harness.cases.models.settle import images, settled
from harness.cases.models.vision import CLASSES, classified, torchvision_models

if TYPE_CHECKING:
    import torch

#: Clips that batch normalisation takes its statistics of.
VIDEOS = 8


def _taken(module: Any, *keys: str) -> torch.nn.Module:
    """A module that gives a dict, as one that gives these of its values."""
    import torch

    class Taken(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = module

        def forward(self, image: torch.Tensor) -> Any:
            found = self.model(image)
            return found[keys[0]] if len(keys) == 1 else tuple(found[key] for key in keys)

    return Taken()


def _detector(detector: Any) -> torch.nn.Module:
    """Backbone and heads of a torchvision detector: scores and offsets of boxes."""
    import torch

    class Heads(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.backbone = detector.backbone
            self.head = detector.head

        def forward(self, image: torch.Tensor) -> Any:
            return tuple(self.head(list(self.backbone(image).values())).values())

    return Heads()


def _deeplab() -> Made:
    module = torchvision_models().segmentation.deeplabv3_mobilenet_v3_large(
        weights=None, weights_backbone=None, num_classes=21
    )
    return classified(_taken(module, "out"), 64)


def _ssdlite() -> Made:
    module = torchvision_models().detection.ssdlite320_mobilenet_v3_large(
        weights=None, weights_backbone=None, num_classes=21
    )
    return classified(_detector(module), 96)


def _fcos() -> Made:
    """A feature pyramid, towers shared by its levels with group normalisation, a ReLU on distances."""
    models = torchvision_models()
    resnet = models.resnet.ResNet(models.resnet.BasicBlock, [1, 1, 1, 1])
    backbone = models.detection.backbone_utils._resnet_fpn_extractor(resnet, 5, returned_layers=[2, 3, 4])
    return classified(_detector(models.detection.FCOS(backbone, num_classes=21)), 64)


def _raft() -> Made:
    import torch

    raft = torchvision_models().optical_flow.raft_small(weights=None)

    class Flow(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = raft

        def forward(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
            flow: torch.Tensor = self.model(first, second, num_flow_updates=2)[-1]
            return flow

    pair = images(2, 128)
    moved = pair.roll(2, -1)
    return Made(settled(Flow(), pair, moved), (pair[:1], moved[:1]))


def _r3d() -> Made:
    video = torchvision_models().video.resnet
    module = video.VideoResNet(
        video.BasicBlock, [video.Conv3DSimple] * 4, [1, 1, 1, 1], video.BasicStem, num_classes=CLASSES
    )
    return _video(module, 4, 32)


def _mvit() -> Made:
    models = torchvision_models()
    config = functools.partial(models.video.mvit.MSBlockConfig, kernel_q=[3, 3, 3], kernel_kv=[3, 3, 3])
    blocks = [
        config(num_heads=1, input_channels=32, output_channels=32, stride_q=[1, 1, 1], stride_kv=[1, 4, 4]),
        config(num_heads=2, input_channels=32, output_channels=64, stride_q=[1, 2, 2], stride_kv=[1, 2, 2]),
        config(num_heads=2, input_channels=64, output_channels=64, stride_q=[1, 1, 1], stride_kv=[1, 2, 2]),
    ]
    module = models.video.MViT(
        spatial_size=(64, 64),
        temporal_size=4,
        block_setting=blocks,
        residual_pool=True,
        residual_with_cls_embed=False,
        rel_pos_embed=True,
        proj_after_attn=True,
        num_classes=CLASSES,
    )
    return _video(module, 4, 64)


def _video(module: Any, frames: int, size: int) -> Made:
    clips = images((VIDEOS + 1) * frames, size).reshape(-1, frames, 3, size, size).transpose(1, 2)
    return Made(settled(module, clips[1:]), (clips[:1].contiguous(),))


def _edsr() -> Made:
    """The network of ExecuTorch's example, whose package needs weights from the network."""
    from torch import nn

    class Block(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.body = nn.Sequential(
                nn.Conv2d(width, width, 3, padding=1), nn.ReLU(True), nn.Conv2d(width, width, 3, padding=1)
            )

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = self.body(x).mul(0.1) + x
            return result

    class Edsr(nn.Module):
        def __init__(self, width: int = 32, blocks: int = 4, scale: int = 2) -> None:
            super().__init__()
            self.head = nn.Conv2d(3, width, 3, padding=1)
            self.body = nn.Sequential(*[Block(width) for _ in range(blocks)], nn.Conv2d(width, width, 3, padding=1))
            self.tail = nn.Sequential(
                nn.Conv2d(width, width * scale**2, 3, padding=1),
                nn.PixelShuffle(scale),
                nn.Conv2d(width, 3, 3, padding=1),
            )

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.head(x)
            result: torch.Tensor = self.tail(self.body(x) + x)
            return result

    return classified(Edsr(), 32)


MODELS: tuple[Model, ...] = (
    Model("deeplab_v3", "torchvision.models.segmentation.deeplabv3_mobilenet_v3_large", "vision", _deeplab),
    Model("ssdlite", "torchvision.models.detection.ssdlite320_mobilenet_v3_large", "vision", _ssdlite),
    Model("fcos", "torchvision.models.detection.FCOS", "vision", _fcos),
    Model("raft", "torchvision.models.optical_flow.raft_small", "vision", _raft),
    Model("r3d", "torchvision.models.video.r3d_18", "vision", _r3d),
    Model("mvit", "torchvision.models.video.MViT", "vision", _mvit),
    Model("edsr", "torch.nn.PixelShuffle", "vision", _edsr),
)
