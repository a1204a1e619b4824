"""Models of images and text together, a tower at a time and both."""

from __future__ import annotations

from typing import Any

from harness.cases.models.initialise import initialised
from harness.cases.models.model import Made, Model, only, transformers

_VOCABULARY = 200
_LENGTH = 12
_LAYERS: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}
_TEXT: dict[str, Any] = {
    **_LAYERS,
    "vocab_size": _VOCABULARY,
    "max_position_embeddings": 16,
    "bos_token_id": 0,
    "eos_token_id": _VOCABULARY - 1,
    "pad_token_id": 1,
}
_VISION: dict[str, Any] = {**_LAYERS, "image_size": 32, "patch_size": 8}


def _ids(rows: int = 1) -> Any:
    """Texts that end in the token by which CLIP finds their ends, and are padded after it."""
    import torch

    ids = torch.randint(2, _VOCABULARY - 1, (rows, _LENGTH))
    for row in range(rows):
        end = _LENGTH - 3 - row
        ids[row, end], ids[row, end + 1 :] = _VOCABULARY - 1, 1
    return ids


def _mask(ids: Any) -> Any:
    import torch

    return (ids != 1).to(torch.int64)


def _clip_text() -> Made:
    config = transformers().CLIPTextConfig(**_TEXT, projection_dim=32)
    model = initialised(transformers().CLIPTextModelWithProjection(config))
    ids = _ids()
    return Made(only(model, "text_embeds", "last_hidden_state"), (ids, _mask(ids)))


def _clip_vision() -> Made:
    import torch

    config = transformers().CLIPVisionConfig(**_VISION, projection_dim=32)
    model = initialised(transformers().CLIPVisionModelWithProjection(config))
    return Made(only(model, "image_embeds", "last_hidden_state"), (torch.randn(1, 3, 32, 32),))


def _siglip() -> Made:
    """Both towers, and how well each text fits the image."""
    import torch

    config = transformers().SiglipConfig(
        text_config={**_TEXT, "projection_size": 64, "max_position_embeddings": _LENGTH}, vision_config=_VISION
    )
    model = initialised(transformers().SiglipModel(config))
    with torch.no_grad():  # about as published
        model.logit_scale.fill_(4.7)
        model.logit_bias.fill_(-12.9)
    inputs = (_ids(2), torch.randn(1, 3, 32, 32))
    return Made(only(model, "logits_per_image", "text_embeds", "image_embeds"), inputs)


def _blip() -> Made:
    """A text that looks at an image: question answering's encoder, cross attention in each of its layers."""
    import torch

    config = transformers().BlipConfig(
        text_config={**_TEXT, "encoder_hidden_size": 64},
        vision_config=_VISION,
        projection_dim=32,
        image_text_hidden_size=32,
    )
    model = initialised(transformers().BlipForImageTextRetrieval(config))
    ids = _ids()
    fields = ("itm_score", "last_hidden_state")
    return Made(
        only(model, *fields),
        (),
        {"input_ids": ids, "pixel_values": torch.randn(1, 3, 32, 32), "attention_mask": _mask(ids)},
    )


MODELS: tuple[Model, ...] = (
    Model("clip_text", "transformers.CLIPTextModelWithProjection", "multimodal", _clip_text),
    Model("clip_vision", "transformers.CLIPVisionModelWithProjection", "multimodal", _clip_vision),
    Model("siglip", "transformers.SiglipModel", "multimodal", _siglip),
    Model("blip", "transformers.BlipForImageTextRetrieval", "multimodal", _blip),
)
