from __future__ import annotations

import pytest
import torch

from harness.cases.case import Arguments, Built, Method
from harness.verdict.oracle import InvalidCase
from harness.verdict.truths import truths_of


class Total(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("total", torch.zeros(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.total.add_(x)
        return self.total * 1


class InPlace(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.add_(1)


class Size(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> object:
        return x, "text"


ONES = torch.ones(2)


def test_each_call_finds_what_the_ones_before_have_left() -> None:
    module = Total()
    built = Built(module, (ONES,), 0, calls=(Arguments((2 * ONES,)), Arguments((ONES,))))
    (truths,) = truths_of(built, users_own=False).values()
    assert [one.outputs[0].tolist() for one in truths] == [[1, 1], [3, 3], [4, 4]]
    assert module.total.tolist() == [0, 0]  # the module itself is left as it was


def test_the_methods_that_are_judged_have_their_own() -> None:
    other = Method("other", torch.nn.ReLU(), (-ONES,))
    built = Built(torch.nn.Sigmoid(), (ONES,), 0, beside=(other,))
    assert list(truths_of(built, users_own=False)) == ["forward"]
    both = truths_of(Built(torch.nn.Sigmoid(), (ONES,), 0, beside=(other,), judge_beside=True), users_own=False)
    assert both["other"][0].outputs[0].tolist() == [0, 0]


def test_a_users_module_must_not_change_its_inputs() -> None:
    built = Built(InPlace(), (ONES.clone(),), 0)
    with pytest.raises(InvalidCase, match="changes its own input"):
        truths_of(built, users_own=True)
    assert truths_of(built, users_own=False)["forward"]


def test_what_is_at_fault_is_named() -> None:
    other = Method("other", Size(), (ONES,))
    built = Built(torch.nn.ReLU(), (ONES,), 0, beside=(other,), judge_beside=True)
    with pytest.raises(InvalidCase, match=r"^method other: a result is no tensor"):
        truths_of(built, users_own=False)
    with pytest.raises(InvalidCase, match=r"^calls\[0\]: "):
        truths_of(Built(torch.nn.Linear(2, 2), (ONES,), 0, calls=(Arguments((torch.ones(3),)),)), users_own=False)
