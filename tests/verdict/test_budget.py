"""What running a program again costs is counted, and decides between bounds and signal to noise."""

import pytest
import torch

from harness.verdict import budget
from harness.verdict.budget import within_budget
from harness.verdict.oracle import truth


@pytest.fixture
def right():
    return truth(torch.nn.Linear(16, 4), (torch.randn(2, 16),))


def test_products_and_elements_are_counted_once(right):
    assert within_budget(right)
    flops, elements = right.cache["cost"]
    assert flops == 2 * 2 * 16 * 4
    assert elements >= 2 * 4
    right.module = None  # a second count would fail
    assert within_budget(right)


@pytest.mark.parametrize("limit", ["FLOPS", "ELEMENTS"])
def test_past_either_limit_it_is_too_much(right, limit, monkeypatch):
    monkeypatch.setattr(budget, limit, 1)
    assert not within_budget(right)
