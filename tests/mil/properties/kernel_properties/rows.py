"""Importing this fills the table."""

from kernel_properties import activations, elementwise, indices, joining, movement, reductions, tensors  # noqa: F401
from kernel_properties.table import PROPERTIES

__all__ = ["PROPERTIES"]
