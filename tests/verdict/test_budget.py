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


class AsksForFloat32(torch.nn.Module):
    """Raises where what it makes is float32 while its weights are float64."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(8, 4)

    def forward(self, x):
        return self.layer(x.float() * torch.arange(8, dtype=torch.float32))


def test_what_asks_for_float32_by_name_is_counted_in_float64():
    right = truth(AsksForFloat32(), (torch.tensor([[250]]),))
    assert right.exact
    assert within_budget(right)
    assert right.cache["cost"][0] == 2 * 8 * 4


def test_a_truth_in_the_cases_dtype_is_counted_in_it():
    right = truth(AsksForFloat32(), (torch.tensor([[250]]),)).in_own_dtype("float64 is left out")
    assert within_budget(right)
