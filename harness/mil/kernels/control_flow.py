"""Selection, branches, loops and lists. Semantics: coremltools' documentation of `iOS15.control_flow`.

A list is a tuple of tensors; operators that change one return another.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from harness.mil.context import UNDOCUMENTED, Context
from harness.mil.registry import Arrays, Ints, kernel
from harness.mil.types import INT32, Array, numpy_dtype

Blocks = list[Callable[..., list[Any]]]


@kernel("select", raw=True, same=("a", "b"))
def select(context: Context, cond: Array, a: Array, b: Array) -> Array:
    """`a` where `cond` is true, else `b`, with broadcasting of all three. Any data type."""
    return np.where(cond, a, b)


@kernel("cond", raw=True, blocks=True)
def cond(context: Context, blocks: Blocks, pred: bool) -> list[Any]:
    """The results, of any types, of the first block where `pred` (a bool) is true, else of the second."""
    return blocks[0 if pred else 1]()


@kernel("while_loop", raw=True, blocks=True)
def while_loop(context: Context, blocks: Blocks, loop_vars: Arrays) -> list[Any]:
    """`loop_vars`, tensors or lists of any type, replaced by the results of the second block for as long as the first
    one, the condition, is true."""
    values = list(loop_vars)
    while bool(blocks[0](*values)[0]):
        values = blocks[1](*values)
    return values


@kernel("make_list", raw=True)
def make_list(
    context: Context,
    elem_shape: Any,
    init_length: int = 1,
    dynamic_length: bool = True,
    dtype: str = "fp32",
) -> tuple[Array, ...]:
    """A list of `init_length` tensors of `elem_shape` and `dtype` (fp32 by default). Their content before the first
    write is undocumented: zeros."""
    parts = elem_shape if isinstance(elem_shape, tuple) else np.asarray(elem_shape).reshape(-1).tolist()
    # An element of the shape is a string where the size is not known.
    shape = tuple(1 if isinstance(p, str) else int(p) for p in parts)
    return tuple(np.zeros(shape, context.stored(numpy_dtype(dtype))) for _ in range(init_length))


@kernel("list_length", raw=True)
def list_length(context: Context, ls: Arrays) -> Array:
    """Number of elements, int32."""
    return np.asarray(len(ls), INT32)


def _place(ls: Arrays, index: int, grows: bool = False) -> int:
    """`index`, which must be in [0, length), or just not negative where the list grows."""
    if index < 0 or (index >= len(ls) and not grows):
        raise IndexError(f"index {index} of a list of {len(ls)}")
    return index


@kernel("list_write", raw=True)
def list_write(context: Context, ls: Arrays, index: int, value: Array) -> tuple[Array, ...]:
    """The list with `value`, of any type and the shape of its elements, at `index`; one of dynamic length grows, zeros
    in between."""
    items = list(ls)
    _place(ls, index, grows=True)
    while len(items) <= index:
        items.append(np.zeros_like(value))
    items[index] = value
    return tuple(items)


@kernel("list_read", raw=True)
def list_read(context: Context, ls: Arrays, index: int) -> Array:
    """The element, of any type, at `index` in [0, length)."""
    return ls[_place(ls, index)]


@kernel("list_gather", raw=True)
def list_gather(context: Context, ls: Arrays, indices: Ints) -> Array:
    """The elements, of any type, at `indices` [K] in [0, length), stacked: [K, *element]."""
    return np.stack([ls[_place(ls, i)] for i in indices])


@kernel("list_scatter", raw=True)
def list_scatter(context: Context, ls: Arrays, indices: Ints, value: Array) -> tuple[Array, ...]:
    """The list with value[i], of any type, at indices[i]; `value` [K, *element], `indices` [K]."""
    if len(set(indices)) != len(indices):
        context.note(UNDOCUMENTED, "list_scatter to one element twice")
    items = list(ls)
    for position, index in enumerate(indices):
        _place(ls, index, grows=True)
        while len(items) <= index:
            items.append(np.zeros_like(value[position]))
        items[index] = value[position]
    return tuple(items)
