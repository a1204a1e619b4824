"""The head of a classifier. Semantics: coremltools' documentation of `iOS15.classify`."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.mil.context import Context
from harness.mil.registry import Arrays, kernel
from harness.mil.types import Array


@kernel("classify", raw=True)
def classify(context: Context, probabilities: Array, classes: Arrays) -> list[Any]:
    """The class of the largest probability (fp16 or fp32, as many as `classes`, in any shape), of equals the first,
    which is not documented; and a dictionary class -> probability. Classes are strings or int64."""
    labels = [c.item() if isinstance(c, np.ndarray) else c for c in classes]
    flat = probabilities.reshape(-1)
    if len(labels) != flat.size:
        raise ValueError(f"{len(labels)} classes for {flat.size} probabilities")
    return [labels[int(np.argmax(flat))], dict(zip(labels, flat.astype(np.float64).tolist(), strict=True))]
