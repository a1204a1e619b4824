"""States: values that outlive a prediction. Semantics: coremltools' documentation of `iOS18.states`.

coremltools writes its own `coreml_update_state` as `write_state` followed by `read_state`.
"""

from __future__ import annotations

from typing import Any

from harness.mil.context import Context
from harness.mil.registry import kernel
from harness.mil.types import Array


@kernel("read_state", raw=True)
def read_state(context: Context, input: Any) -> Array:
    """A copy of the content of the state: a tensor of its shape and type (fp16; coremltools makes no other)."""
    return input.read()  # type: ignore[no-any-return]


@kernel("write_state", raw=True)
def write_state(context: Context, input: Any, data: Array) -> list[Array]:
    """Replace the content of the state by `data`, a tensor of its shape and type (fp16); no result."""
    input.write(data)
    return []


@kernel("coreml_update_state", raw=True)
def coreml_update_state(context: Context, state: Any, value: Array) -> Array:
    """Replace the content of the state by `value`, a tensor of its shape and type (fp16), and return it."""
    state.write(value)
    return state.read()  # type: ignore[no-any-return]
