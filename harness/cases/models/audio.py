"""Models of sound: speech recognition and its parts."""

from __future__ import annotations

from harness.cases.models.model import Model

MODELS: tuple[Model, ...] = ()
