"""A case quantized by a recipe's scheme, as the backend's own recipes quantize a module."""

from __future__ import annotations

from harness.cases.case import Built
from harness.evidence.recipe import Quantization


def prepared(built: Built, scheme: Quantization) -> tuple[Built, Built]:
    """What is lowered by this scheme, and what is right of it: the same, but for what coremltools quantizes itself."""
    raise NotImplementedError(scheme.name)
