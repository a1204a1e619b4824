"""Every kernel against an independent statement of its semantics; the rows are in `kernel_properties/`."""

from __future__ import annotations

import pytest
from kernel_properties.rows import PROPERTIES
from kernel_properties.table import check

from harness.mil.kernels import KERNELS


def _every_kernel_has_a_property():
    assert set(PROPERTIES) == set(KERNELS)


@pytest.mark.parametrize("name", sorted(PROPERTIES))
def test_kernel(name):
    check(name)
