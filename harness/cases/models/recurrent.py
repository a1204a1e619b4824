"""Recurrent networks, short: they are unrolled when lowered."""

from __future__ import annotations

from harness.cases.models.model import Model

MODELS: tuple[Model, ...] = ()
