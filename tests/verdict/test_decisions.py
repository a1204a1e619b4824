"""Decisions within rounding may fall either way, and no others."""

import pytest
import torch
import torch.nn.functional as F

from harness.evidence.vocabulary import Outcome
from harness.verdict.compare import compare
from harness.verdict.decisions import decides, is_pinned
from harness.verdict.oracle import truth
from harness.verdict.table import rule_for

TIE = torch.arange(1, 10) / 10


class Fn(torch.nn.Module):
    def __init__(self, fn):
        super().__init__()
        self.fn = fn

    def forward(self, *inputs):
        return self.fn(*inputs)


def verdict(fn, inputs, change, precision="fp32"):
    """Of a result that differs from the exact one by `change`."""
    right = truth(Fn(fn), inputs)
    got = [change(t.clone()) if i == 0 else t for i, t in enumerate(right.reference)]
    return compare(got, right, rule_for("module.made", ["aten.div.Tensor", "aten.add.Tensor"]), precision).outcome


def put(place, value):
    def change(t):
        t[place] = value
        return t

    return change


BINS = {
    "floor": lambda x: torch.floor(x / 0.1).long(),
    "cast": lambda x: (x / 0.1).to(torch.int32),
    "floor divide": lambda x: torch.div(x, 0.1, rounding_mode="floor").long(),
    "bucketize": lambda x: torch.bucketize(x / 0.1, torch.arange(1.0, 9.0)),
    "compared": lambda x: x / 0.1 >= 6.0,
    "of a sum": lambda x: torch.floor((x + 0.3) / 0.1).long(),
}


@pytest.mark.parametrize("name", BINS)
def test_the_one_side_and_the_other_are_right_next_to_a_jump(name):
    exact = truth(Fn(BINS[name]), (TIE,)).outputs[0]
    for precision in ("fp32", "fp16"):
        other = exact[5].logical_not() if exact.dtype == torch.bool else exact[5] + (1 if exact[5] < 6 else -1)
        outcome = verdict(BINS[name], (TIE,), put(5, other), precision)
        assert outcome is Outcome.PASS, (name, precision)


@pytest.mark.parametrize("name", BINS)
def test_two_steps_are_wrong_and_so_is_one_away_from_a_jump(name):
    away = TIE + 0.05
    exact = truth(Fn(BINS[name]), (away,)).outputs[0]
    other = exact[5].logical_not() if exact.dtype == torch.bool else exact[5] + 1
    assert verdict(BINS[name], (away,), put(5, other)) is Outcome.WRONG_VALUE
    if exact.dtype != torch.bool:
        assert verdict(BINS[name], (TIE,), put(5, exact[5] + 3)) is Outcome.WRONG_VALUE


def test_a_value_that_hangs_on_a_decision_may_be_either():
    def fn(x):
        return torch.where(x / 0.1 >= 6.0, x * 10, x)

    assert verdict(fn, (TIE,), put(5, 6.0)) is Outcome.PASS
    assert verdict(fn, (TIE,), put(5, 0.6)) is Outcome.PASS
    assert verdict(fn, (TIE,), put(1, 2.0)) is Outcome.WRONG_VALUE
    assert verdict(fn, (TIE,), put(5, 60.0)) is Outcome.WRONG_VALUE


def test_an_index_may_be_that_of_any_element_within_rounding_of_the_largest():
    x, w = torch.rand(4, 8, generator=torch.Generator().manual_seed(0)) + 0.5, torch.full((8, 5), 0.1)
    w[:, 1], w[:, 4] = 1.0, 1.0 - 1e-4

    def fn(x, w):
        return (x @ w).argmax(1)

    assert truth(Fn(fn), (x, w)).outputs[0].tolist() == [1] * 4
    assert verdict(fn, (x, w), put(2, 4), "fp16") is Outcome.PASS
    assert verdict(fn, (x, w), put(2, 4), "fp32") is Outcome.WRONG_VALUE
    assert verdict(fn, (x, w), put(2, 0), "fp16") is Outcome.WRONG_VALUE


def test_what_no_error_reaches_is_decided_exactly():
    x = torch.tensor([0.5, 1.0, 1.5])
    assert verdict(lambda x: x >= 1.0, (x,), put(1, False)) is Outcome.WRONG_VALUE
    assert verdict(lambda x: torch.floor(x).long(), (x,), put(1, 0)) is Outcome.WRONG_VALUE


def test_eager_in_the_dtype_the_user_wrote_is_right_as_well():
    eager = Fn(BINS["floor"])(TIE)
    exact = truth(Fn(BINS["floor"]), (TIE,)).outputs[0]
    assert not torch.equal(eager, exact)
    assert verdict(BINS["floor"], (TIE,), lambda t: eager) is Outcome.PASS


def test_a_quantized_value_differs_by_one_step_at_the_most():
    x = torch.tensor([0.25, 0.249, 0.31]) + 0.0

    def fn(x):
        return F.hardtanh(torch.round(x * 3.0 / 0.5) * 0.5, -10, 10)

    exact = truth(Fn(fn), (x,)).outputs[0]
    assert verdict(fn, (x,), put(0, float(exact[0]) + 0.5)) is Outcome.PASS
    assert verdict(fn, (x,), put(0, float(exact[0]) + 1.0)) is Outcome.WRONG_VALUE
    assert verdict(fn, (x,), put(2, float(exact[2]) + 0.5)) is Outcome.WRONG_VALUE


def test_casts_decide_where_a_float_becomes_an_integer():
    x = torch.ones(2)
    assert decides("aten._to_copy.default", ((x,), {}), x.int())
    assert not decides("aten._to_copy.default", ((x,), {}), x.half())
    assert not decides("aten._to_copy.default", ((x.int(),), {}), x.bool())
    assert not decides("aten.relu.default", ((x,), {}), x)
    assert is_pinned("aten.floor_.default")
    assert not is_pinned("aten.remainder.Tensor")
