"""Models of images and text together, a tower or a step at a time."""

from __future__ import annotations

from harness.cases.models.model import Model

MODELS: tuple[Model, ...] = ()
