"""coremltools' `Program.validate`, which runs after each of a hundred passes: an operation's inputs flattened once.

Validation asks every operation for its list of inputs once for each use of each of its values, and changes nothing; a
tenth of a check went into it, half of that into making those lists.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from coremltools.converters.mil.mil import Operation, Program


def install() -> None:
    """Put the remembering `validate` in the place of coremltools'; calling it again does nothing."""
    if not hasattr(Program.validate, "__wrapped__"):
        Program.validate = remembering(Program.validate)


def remembering(original: Callable[..., None]) -> Callable[..., None]:
    """`validate`, inside of which `get_flattened_inputs` of an operation is computed once."""

    @functools.wraps(original)
    def validate(program: Program, *arguments: Any, **keywords: Any) -> None:
        known: dict[Any, list[Any]] = {}
        own = Operation.get_flattened_inputs

        def flattened(operation: Any) -> list[Any]:
            found = known.get(operation)
            if found is None:
                found = known[operation] = own(operation)
            return found

        Operation.get_flattened_inputs = flattened
        try:
            original(program, *arguments, **keywords)
        finally:
            Operation.get_flattened_inputs = own

    return validate
