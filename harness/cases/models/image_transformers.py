"""transformers' networks for images: encoders, dense prediction, detection without anchors."""

from __future__ import annotations

from typing import Any

from harness.cases.models.model import Made, Model, only, transformers
from harness.cases.models.vision import classified


def _made(model: Any, output: str, *more: str, size: int = 64) -> Made:
    return classified(only(model, output, *more), size)


def _vit() -> Made:
    config = transformers().ViTConfig(
        image_size=64,
        hidden_size=128,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=512,
        num_labels=100,
    )
    return _made(transformers().ViTForImageClassification(config), "logits")


def _dinov2() -> Made:
    """By another size than its positions are for: they are interpolated, as its users do."""
    config = transformers().Dinov2Config(
        image_size=112, patch_size=14, hidden_size=96, num_hidden_layers=3, num_attention_heads=3
    )
    return _made(transformers().Dinov2Model(config), "last_hidden_state", size=70)


def _sam() -> Made:
    """A layer of each kind: attention in windows, which are padded, and of all; relative positions in both."""
    config = transformers().SamVisionConfig(
        image_size=96,
        patch_size=16,
        hidden_size=64,
        num_hidden_layers=3,
        num_attention_heads=4,
        mlp_dim=256,
        output_channels=32,
        window_size=4,
        global_attn_indexes=[1],
        num_pos_feats=16,
    )
    return _made(transformers().SamVisionModel(config), "last_hidden_state", size=96)


def _segformer() -> Made:
    config = transformers().SegformerConfig(
        depths=[1, 1, 1, 1],
        hidden_sizes=[16, 32, 48, 64],
        num_attention_heads=[1, 2, 3, 4],
        decoder_hidden_size=64,
        num_labels=21,
    )
    return _made(transformers().SegformerForSemanticSegmentation(config), "logits")


def _yolos() -> Made:
    config = transformers().YolosConfig(
        image_size=[64, 64],
        hidden_size=96,
        num_hidden_layers=3,
        num_attention_heads=3,
        intermediate_size=384,
        num_detection_tokens=20,
    )
    return _made(transformers().YolosForObjectDetection(config), "logits", "pred_boxes")


MODELS: tuple[Model, ...] = (
    Model("vit", "transformers.ViTForImageClassification", "vision", _vit),
    Model("dinov2", "transformers.Dinov2Model", "vision", _dinov2),
    Model("sam_encoder", "transformers.SamVisionModel", "vision", _sam),
    Model("segformer", "transformers.SegformerForSemanticSegmentation", "vision", _segformer),
    Model("yolos", "transformers.YolosForObjectDetection", "vision", _yolos),
)
