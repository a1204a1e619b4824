"""Matrix products. Semantics: coremltools' documentation of `iOS15.linear`, `iOS17.linear`."""

from __future__ import annotations

import numpy as np

from harness.mil.context import STRICT, Context
from harness.mil.registry import NON_CONSTANT, Arrays, kernel
from harness.mil.types import FLOAT16, Array


@kernel("linear")
def linear(context: Context, x: Array, weight: Array, bias: Array | None = None) -> Array:
    """x @ weight.T + bias. `x` [*D, D_in], `weight` [D_out, D_in], `bias` [D_out]; fp16, fp32, int32.

    From iOS17 on weight and bias may have another type; the result has the type of `x`."""
    result = context.matmul(x, weight.T)
    return result if bias is None else result + bias


@kernel("matmul", like=NON_CONSTANT)
def matmul(context: Context, x: Array, y: Array, transpose_x: bool = False, transpose_y: bool = False) -> Array:
    """Batched matrix product with numpy's broadcasting; fp16, fp32, int32. The transposes swap the last two
    dimensions and do nothing to a vector. From iOS17 on a constant operand may have another type than the other
    one, whose type the result then has."""
    if transpose_x and x.ndim > 1:
        x = np.swapaxes(x, -1, -2)
    if transpose_y and y.ndim > 1:
        y = np.swapaxes(y, -1, -2)
    return context.matmul(x, y)


@kernel("einsum", like="values")
def einsum(context: Context, values: Arrays, equation: str) -> Array:
    """Einstein summation of two tensors, fp16 or fp32; dimensions of size 1 broadcast. MIL documents
    `nchw,nwhu->nchu` and `chw,whr->chr` and their renamings; any two-operand equation without repeated letters is
    computed."""
    left, _, output = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(values) or not output:
        raise ValueError(f"equation {equation!r} with {len(values)} operands")
    sizes: dict[str, int] = {}
    for term, value in zip(terms, values, strict=True):
        for letter, size in zip(term, value.shape, strict=True):
            if size != 1 or letter not in sizes:  # 0 is a size too, and 1 broadcasts to it
                sizes[letter] = size
    operands = [
        np.broadcast_to(value, [sizes[letter] for letter in term]) for term, value in zip(terms, values, strict=True)
    ]
    if context.mode == STRICT and operands[0].dtype == FLOAT16:
        summed = "".join(letter for letter in sizes if letter not in output)
        products = np.einsum(f"{left}->{output}{summed}", *operands)
        return context.accumulate(products, tuple(range(len(output), len(output) + len(summed))))
    return np.einsum(f"{left}->{output}", *operands, optimize=True)
