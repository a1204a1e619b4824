"""Every kernel against an independent statement of its semantics; the rows are in `kernel_properties/`."""

from __future__ import annotations

import numpy as np
import pytest
from kernel_properties.draw import FP16, FP32, pointwise, values
from kernel_properties.rows import PROPERTIES
from kernel_properties.table import Call, check, compare, run

from harness.mil.kernels import KERNELS


def test_every_kernel_has_a_property():
    """No exceptions: random operators are held to shape, type, range and moments."""
    assert set(PROPERTIES) == set(KERNELS)


@pytest.mark.parametrize("name", sorted(PROPERTIES))
def test_kernel(name):
    check(name)


@pytest.mark.parametrize("name", sorted(n for n in KERNELS if n.startswith("random_")))
def test_a_seed_makes_random_tensors_repeatable(name):
    given = {"x": np.ones((2, 50), np.float32)} if name == "random_categorical" else {"shape": (50,)}
    if name == "random_categorical":
        given["size"] = 50
    declared = run_of(name, given, 3)
    assert (declared == run_of(name, given, 3)).all()
    assert not (declared == run_of(name, given, 4)).all()
    assert not (run_of(name, given, -1) == run_of(name, given, -1)).all()


def run_of(name, given, seed):
    from harness.mil import TensorType

    shape = (2, 50) if name == "random_categorical" else (50,)
    (result,), _, _ = run(name, Call({**given, "seed": seed}), [TensorType("fp32", shape)])
    return result


# The tools themselves: a comparison that accepts everything would prove nothing.


@pytest.mark.parametrize(
    ("got", "want", "ulps"),
    [
        (np.float32([0.0]), np.float32([-0.0]), 0),
        (np.float32([np.nan]), np.float32([1]), 4),
        (np.float32([1]), np.float32([np.nan]), 4),
        (np.float32([np.inf]), np.float32([-np.inf]), 4),
        (np.float32([3e38]), np.float32([np.inf]), 4),
        (np.float32([1]), np.float32([1.00001]), 4),
        (np.float32([1]), np.float16([1]), 4),
        (np.float32([1]), np.float32([[1]]), 4),
        (np.int32([1, 2]), np.int32([1, 3]), 4),
        ((np.float32(1),), (np.float32(1), np.float32(2)), 4),
        ("cat", "dog", 4),
        ({"cat": 1.0}, {"cat": 0.5}, 4),
    ],
)
def test_a_difference_is_seen(got, want, ulps):
    compare(want, want, ulps, 1, "wide")
    with pytest.raises(AssertionError):
        compare(got, want, ulps, 1, "wide")


def test_special_values_are_drawn_and_outside_of_the_domain_is_nan():
    drawn = values(np.random.default_rng(1), (200,), FP32, special=True)
    assert np.isnan(drawn).any()
    assert np.isposinf(drawn).any()
    assert (np.signbit(drawn) & (drawn == 0)).any()
    assert values(np.random.default_rng(1), (5,), FP16).dtype == FP16

    def root(v: float) -> float:
        if v < 0:
            raise ValueError
        return v**0.5

    np.testing.assert_array_equal(pointwise(root, np.float32([4, -1])), [2, np.nan])
