"""Which compressed weights a value comes from: nothing to find in a program without any.

Each of coremltools' hundred passes ends by telling every value anew the `constexpr_` values above it, which must not
be folded away. Where a program has no such operator that set is empty everywhere, and need not be joined from the sets
of all inputs.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any


def install() -> None:
    """Leave out what finds nothing; calling it again does nothing."""
    from coremltools.converters.mil.mil import Block

    if not hasattr(Block._propagate_nonreplaceable_vars, "__wrapped__"):
        Block._propagate_nonreplaceable_vars = emptied_or_propagated(Block._propagate_nonreplaceable_vars)


def emptied_or_propagated(original: Callable[[Any], None]) -> Callable[[Any], None]:
    """`Block._propagate_nonreplaceable_vars()`, asked only about functions with compressed weights, and about blocks
    within a function, which do not show what is outside of them."""
    from coremltools.converters.mil.mil import Function

    @functools.wraps(original)
    def propagate(block: Any) -> None:
        operators = list(_operators(block)) if isinstance(block, Function) else []
        if not operators or any(op.op_type.startswith("constexpr_") for op in operators):
            original(block)
            return
        for op in operators:
            for value in op.outputs or ():
                if value.nonreplaceable_vars_upstream:
                    value.nonreplaceable_vars_upstream = set()

    return propagate


def _operators(block: Any) -> Iterator[Any]:
    for op in block.operations:
        for inner in op.blocks:
            yield from _operators(inner)
        yield op
