"""Importing this fills the table."""

from kernel_properties import (  # noqa: F401
    activations,
    elementwise,
    images,
    indices,
    joining,
    layers,
    movement,
    reductions,
    sums,
    tensors,
    windows,
)
from kernel_properties.table import PROPERTIES

__all__ = ["PROPERTIES"]
