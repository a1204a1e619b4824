"""Validating a MIL program, which coremltools does after each of its hundred passes: in one walk where all is well.

`Block.validate` flattens an operator's inputs anew for itself and for each of its consumers, and counts them with
`Counter`, so that validating is a fifth of converting. The walk here asks the same, each operator once. What it finds
anything wrong with is validated by coremltools, which raises what it raises.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any


def install() -> None:
    """Look for what is wrong before coremltools does; calling it again does nothing."""
    from coremltools.converters.mil.mil import Program

    if not hasattr(Program.validate, "__wrapped__"):
        Program.validate = sound_or_validated(Program.validate)


def sound_or_validated(original: Callable[..., None]) -> Callable[..., None]:
    """`Program.validate(check_essential_scope)`, asked only about programs that are not sound."""

    @functools.wraps(original)
    def validate(program: Any, check_essential_scope: bool | None = False) -> None:
        if not all(map(is_sound, program.functions.values())):
            original(program, check_essential_scope)
        elif check_essential_scope:
            for function in program.functions.values():
                function._check_has_scope_info()

    return validate


def is_sound(function: Any) -> bool:
    """Whether `Function.validate` would raise nothing; False where that is not certain."""
    uses: dict[Any, int] = {}
    made: list[Any] = []
    try:
        if not _block_is_sound(function, set(), list(function.inputs.values()), uses, made):
            return False
    except (AttributeError, TypeError):  # a coremltools that keeps its operators otherwise
        return False
    # Each use was found among the value's consumers; with as many of them as uses there are no others.
    return all(len(value.child_ops) == uses.get(value, 0) for value in made)


def _block_is_sound(block: Any, outside: set[Any], inputs: list[Any], uses: dict[Any, int], made: list[Any]) -> bool:
    """The same of a block, which sees the values `outside`; adds its `uses` of values and those `made` in it."""
    from coremltools.converters.mil.mil.var import InternalVar

    visible = outside.union(inputs)
    internal = block._internal_vars
    found_internal = set()
    for op in block.operations:
        for inner in op.blocks:
            if not _block_is_sound(inner, visible, inner.inputs, uses, made):
                return False
        flat: list[Any] = []
        for value in op._input_vars.values():
            if isinstance(value, InternalVar):
                found_internal.add(value)
            elif isinstance(value, list | tuple):
                flat.extend(value)
            elif value is not None:
                flat.append(value)
        for value in flat:
            if value not in visible and value not in internal:
                return False
            if value.child_ops.count(op) != flat.count(value):
                return False
            uses[value] = uses.get(value, 0) + 1
        for value in op.outputs:
            if any(value not in consumer.outputs for consumer in value.consuming_blocks):
                return False
        visible.update(op.outputs)
        made.extend(op.outputs)
    return found_internal == internal and all(block in value.consuming_blocks for value in block.outputs)
