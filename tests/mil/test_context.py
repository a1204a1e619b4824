from __future__ import annotations

import numpy as np
import pytest

from harness.mil.context import Context


def test_a_diagnostic_is_noted_once_for_each_operation():
    context = Context("wide", op_type="topk", output="a")
    context.note("undocumented", "first")
    context.note("undocumented", "again")
    context.note("random", "another kind")
    context.output = "b"
    context.note("undocumented", "elsewhere")
    assert [(d.kind, d.output) for d in context.diagnostics] == [
        ("undocumented", "a"),
        ("random", "a"),
        ("undocumented", "b"),
    ]


@pytest.mark.parametrize(("mode", "stored"), [("wide", np.float16), ("strict", np.float16), ("exact", np.float64)])
def test_storage(mode, stored):
    assert Context(mode).stored(np.dtype(np.float16)) == stored
    assert Context(mode).stored(np.dtype(np.int32)) == np.int32


def test_defaults_are_rounded_to_the_type_of_the_operand():
    half, single = Context("wide", dtype=np.dtype(np.float16)), Context("wide", dtype=np.dtype(np.float32))
    assert half.constant(1e-12, None) == 0.0
    assert single.constant(1e-12, None) == np.float32(1e-12)
    assert half.constant(1e-12, 0.5) == 0.5


@pytest.mark.parametrize("axes", [(0,), (1,), (0, 2), (0, 1, 2)])
@pytest.mark.parametrize("keep_dims", [False, True])
def test_strict_sums_have_the_shape_of_numpys(axes, keep_dims):
    x = np.arange(24, dtype=np.float16).reshape(2, 3, 4)
    got = Context("strict").accumulate(x, axes, keep_dims)
    np.testing.assert_array_equal(got, x.astype(np.float32).sum(axes, keepdims=keep_dims))
    assert got.dtype == np.float16


@pytest.mark.parametrize(
    ("x", "y"), [((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 4)), ((2, 3), (3, 4)), ((5, 1, 2, 3), (4, 3, 2))]
)
def test_strict_products_have_the_shape_of_numpys(x, y):
    a, b = np.arange(np.prod(x)).reshape(x).astype(np.float16), np.arange(np.prod(y)).reshape(y).astype(np.float16)
    got = Context("strict").matmul(a, b)
    np.testing.assert_array_equal(got, np.matmul(a.astype(np.float32), b.astype(np.float32)))
    assert got.dtype == np.float16


def test_a_strict_product_rounds_each_step():
    a = np.full((1, 4096), 1, np.float16)
    assert Context("strict").matmul(a, a.T).item() == 2048  # where the spacing of fp16 becomes 2
    assert Context("wide").matmul(a.astype(np.float32), a.T.astype(np.float32)).item() == 4096
