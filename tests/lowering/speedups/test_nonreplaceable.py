"""Which compressed weights a value comes from, with the speedup and without."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import coremltools as ct
import numpy as np
import pytest
from coremltools.converters.mil.mil import Block
from coremltools.converters.mil.mil import Builder as mb

from harness.lowering.speedups import nonreplaceable

ORIGINAL = getattr(Block._propagate_nonreplaceable_vars, "__wrapped__", Block._propagate_nonreplaceable_vars)


def walk(block: Any) -> Iterator[Any]:
    for op in block.operations:
        for inner in op.blocks:
            yield from walk(inner)
        yield op


def made(compressed: bool) -> Any:
    """A weight, compressed or not, used in the branches of a condition and after it."""

    @mb.program(input_specs=[mb.TensorSpec(shape=(4, 2))], opset_version=ct.target.iOS16)
    def program(x: Any) -> Any:
        weight = (
            mb.constexpr_affine_dequantize(
                quantized_data=np.arange(8, dtype=np.int8).reshape(4, 2), zero_point=np.int8(0), scale=0.5, axis=0
            )
            if compressed
            else mb.const(val=np.ones((4, 2), np.float32))
        )
        chosen = mb.cond(
            pred=mb.greater(x=mb.reduce_sum(x=x), y=0.0),
            _true_fn=lambda: mb.mul(x=weight, y=2.0),
            _false_fn=lambda: mb.sub(x=weight, y=1.0),
        )
        return mb.add(x=mb.tanh(x=chosen), y=x)

    return program.functions["main"]


def found(function: Any, propagate: Callable[[Any], None]) -> list[set[str]]:
    """The names of what each value comes from, begun with what no value comes from."""
    function_vars = [value for op in walk(function) for value in op.outputs]
    for value in function_vars:
        value.nonreplaceable_vars_upstream = {function_vars[0]}
    propagate(function)
    return [{above.op.op_type for above in value.nonreplaceable_vars_upstream} for value in function_vars]


@pytest.mark.parametrize("compressed", [True, False])
def test_each_value_comes_from_the_same(compressed: bool) -> None:
    plain = found(made(compressed), ORIGINAL)
    assert found(made(compressed), nonreplaceable.emptied_or_propagated(ORIGINAL)) == plain
    assert any(plain) is compressed


def test_coremltools_is_asked_where_there_may_be_any() -> None:
    asked: list[Any] = []
    propagate = nonreplaceable.emptied_or_propagated(asked.append)
    function = made(compressed=False)
    propagate(function)
    assert asked == []
    within = next(op for op in function.operations if op.blocks).blocks[0]
    compressed = made(compressed=True)
    propagate(within)
    propagate(compressed)
    assert asked == [within, compressed]


def test_installed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Block, "_propagate_nonreplaceable_vars", ORIGINAL)
    nonreplaceable.install()
    first = Block._propagate_nonreplaceable_vars
    nonreplaceable.install()
    assert Block._propagate_nonreplaceable_vars is first is not ORIGINAL
