"""Importing this fills the table."""

from kernel_properties import (  # noqa: F401
    activations,
    elementwise,
    flow,
    images,
    indices,
    joining,
    layers,
    movement,
    reductions,
    sums,
    tensors,
    weights,
    windows,
)
from kernel_properties.table import PROPERTIES

__all__ = ["PROPERTIES"]
