"""Models that make images: a UNet of diffusion, decoders."""

from __future__ import annotations

from harness.cases.models.model import Model

MODELS: tuple[Model, ...] = ()
