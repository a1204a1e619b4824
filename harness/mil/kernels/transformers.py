"""Attention. Semantics: coremltools' documentation of `iOS18.transformers`."""

from __future__ import annotations

import math

import numpy as np

from harness.mil.context import Context
from harness.mil.kernels.activation import softmax
from harness.mil.registry import kernel
from harness.mil.types import Array


@kernel("scaled_dot_product_attention", same=("query", "key", "value"))
def scaled_dot_product_attention(
    context: Context, query: Array, key: Array, value: Array, attn_mask: Array | None = None
) -> Array:
    """softmax(query key^T / sqrt(E) + mask) value. `query` [B, *, L, E], `key` [B, *, S, E], `value` [B, *, S, EV];
    a bool mask keeps where it is true, a float mask is added. fp16, fp32."""
    scores = context.matmul(query, np.swapaxes(key, -1, -2)) / query.dtype.type(math.sqrt(query.shape[-1]))
    if attn_mask is not None:
        if attn_mask.dtype.kind == "b":
            scores = np.where(attn_mask, scores, scores.dtype.type(-np.inf))
        else:
            scores = scores + attn_mask.astype(scores.dtype, copy=False)
    return context.matmul(softmax(context, scores, -1), value)
