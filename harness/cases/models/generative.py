"""Models that make images by diffusion: the UNet, the transformer, and the decoder of what they make."""

from __future__ import annotations

from typing import Any

from harness.cases.models.initialise import initialised
from harness.cases.models.model import Made, Model, diffusers, only
from harness.evidence.recipe import BARE, DEFAULT_RECIPES


def _unet() -> Made:
    """Blocks with cross attention and without, down, in the middle and up; the time is a tensor, as in a loop."""
    import torch

    model: Any = diffusers().UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(32, 64),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=32,
        attention_head_dim=4,
        norm_num_groups=8,
    )
    inputs = (torch.randn(1, 4, 8, 8), torch.tensor([401]), torch.randn(1, 6, 32))
    return Made(only(initialised(model), "sample"), inputs)


def _vae_decoder() -> Made:
    import torch

    model: Any = diffusers().AutoencoderKL(
        block_out_channels=(16, 32),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=8,
    )
    initialised(model)

    class Decoder(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.post_quant_conv, self.decoder = model.post_quant_conv, model.decoder

        def forward(self, latent: Any) -> Any:
            return self.decoder(self.post_quant_conv(latent))

    return Made(Decoder(), (torch.randn(1, 4, 8, 8),))


def _dit() -> Made:
    """A transformer in the UNet's place, its normalisation scaled and shifted by time and class."""
    import torch

    model: Any = diffusers().DiTTransformer2DModel(
        num_attention_heads=2,
        attention_head_dim=16,
        in_channels=4,
        out_channels=8,
        num_layers=2,
        sample_size=8,
        num_embeds_ada_norm=10,
        norm_num_groups=8,
    )
    inputs = (torch.randn(1, 4, 8, 8), torch.tensor([401]), torch.tensor([3]))
    return Made(only(initialised(model), "sample"), inputs)


MODELS: tuple[Model, ...] = (
    Model(
        "unet2d_condition",
        "diffusers.UNet2DConditionModel",
        "generative",
        _unet,
        # A check of it takes as long as three of another.
        recipes=(*DEFAULT_RECIPES, BARE, "fp16-ios18-torchao_int8_channel"),
    ),
    Model("vae_decoder", "diffusers.AutoencoderKL", "generative", _vae_decoder),
    Model("dit", "diffusers.DiTTransformer2DModel", "generative", _dit),
)
