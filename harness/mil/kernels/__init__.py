"""Kernels, one module for each family of coremltools' own operator definitions. Importing this registers them."""

from harness.mil.kernels import (  # noqa: F401
    activation,
    classify,
    compression,
    control_flow,
    conv,
    detection,
    elementwise_binary,
    elementwise_unary,
    image_resizing,
    linear,
    normalization,
    pool,
    quantization,
    random,
    recurrent,
    reduction,
    scatter_gather,
    states,
    tensor_operation,
    tensor_transformation,
    transformers,
)
from harness.mil.registry import KERNELS

__all__ = ["KERNELS"]
