from __future__ import annotations

import numpy as np
import pytest

from harness.mil.casting import as_torch, cast
from harness.mil.types import FLOAT16, FLOAT32

EVERY_HALF = np.arange(2**16, dtype=np.uint16).view(np.float16)


def test_every_half_survives_the_way_to_float32_and_back():
    wide = cast(EVERY_HALF, FLOAT32)
    np.testing.assert_array_equal(wide, EVERY_HALF.astype(np.float32))
    np.testing.assert_array_equal(cast(wide, FLOAT16), EVERY_HALF)


def test_rounding_is_numpys_between_all_neighbours():
    """Halfway points (ties to even), just above and just below them, denormals and the overflow included."""
    finite = np.sort(EVERY_HALF[np.isfinite(EVERY_HALF)].astype(np.float32))
    middle = (finite[1:] + finite[:-1]) / 2
    above, below = np.nextafter(middle, np.float32(np.inf)), np.nextafter(middle, np.float32(-np.inf))
    edges = np.float32([65504, 65519.99, 65520, 1e30, -65520, np.inf, np.nan])
    values = np.concatenate([middle, above, below, edges])
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(cast(values, FLOAT16), values.astype(np.float16))


@pytest.mark.parametrize(
    "view", [lambda a: a[::-1], lambda a: a.reshape(2, -1).T, lambda a: np.broadcast_to(a, (3, a.size))]
)
def test_any_layout(view):
    x = np.arange(600, dtype=np.float32)
    np.testing.assert_array_equal(cast(view(x), FLOAT16), view(x).astype(np.float16))
    np.testing.assert_array_equal(as_torch(view(x)).numpy(), view(x))
