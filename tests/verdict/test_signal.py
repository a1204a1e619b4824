"""Outputs of large models: special values first, columns of like magnitude, and a floor."""

import pytest
import torch

from harness.evidence.vocabulary import Outcome
from harness.verdict.signal import judge_output
from harness.verdict.tolerance import FP16, FP32

NAN, INF = float("nan"), float("inf")
RIGHT = torch.randn(64, 6, generator=torch.Generator().manual_seed(0)).double()
BOXES = torch.cat([RIGHT[:, :4] * 2000, RIGHT[:, 4:]], 1)


def noisy(right, relative):
    noise = torch.randn(right.shape, generator=torch.Generator().manual_seed(1)).double()
    return right + relative * right.abs() * noise


def test_a_clean_signal_passes():
    found = judge_output(0, noisy(RIGHT, 1e-4), RIGHT, None, FP16)
    assert (found.outcome, found.reason, found.notes) == (Outcome.PASS, "", ())
    assert 70 < found.db < 90


@pytest.mark.parametrize(
    ("right", "got", "outcome"),
    [
        (NAN, 0.0, Outcome.WRONG_VALUE),
        (INF, 65504.0, Outcome.WRONG_VALUE),
        (INF, -INF, Outcome.WRONG_VALUE),
        (1.0, NAN, Outcome.OUT_OF_RANGE),
        (1.0, INF, Outcome.OUT_OF_RANGE),
        (NAN, NAN, Outcome.PASS),
        (INF, INF, Outcome.PASS),
    ],
)
def test_special_values_are_compared_before_the_signal(right, got, outcome):
    expected, found = RIGHT.clone(), RIGHT.clone()
    expected[3, 2], found[3, 2] = right, got
    signal = judge_output(1, found, expected, None, FP32)
    assert signal.outcome is outcome
    assert ("output 1[3, 2]" in signal.reason) is (outcome is not Outcome.PASS)


def test_a_wrong_column_does_not_hide_beside_large_ones():
    got = BOXES.clone()
    got[:, 4] *= 1.2
    assert judge_output(0, got, got, None, FP16).outcome is Outcome.PASS
    found = judge_output(0, got, BOXES, None, FP16)
    assert found.db > 60
    assert (found.outcome, found.reason[:14]) == (Outcome.WRONG_VALUE, "output 0[..., ")


def test_a_column_in_which_eager_is_as_noisy_is_none():
    got = BOXES.clone()
    got[:, 4:] = noisy(BOXES[:, 4:], 0.03)
    eager = BOXES.clone()
    eager[:, 4:] = noisy(BOXES[:, 4:], 0.04)
    assert judge_output(0, got, BOXES, eager, FP16).outcome is Outcome.PASS
    assert judge_output(0, got, BOXES, BOXES, FP16).outcome is Outcome.WRONG_VALUE


def test_eager_lowers_what_is_asked_for_and_never_below_the_floor():
    found = judge_output(0, noisy(RIGHT, 0.03), RIGHT, noisy(RIGHT, 0.04), FP16)
    assert found.outcome is Outcome.PASS
    assert [note.code for note in found.notes] == ["threshold_lowered"]
    lost = judge_output(0, torch.zeros_like(RIGHT), RIGHT, torch.zeros_like(RIGHT), FP16)
    assert lost.outcome is Outcome.WRONG_VALUE
    assert "below 20 dB" in lost.reason


@pytest.mark.parametrize("f", [FP16, FP32], ids=lambda f: f.name)
def test_a_signal_below_the_smallest_normal_may_be_zero_and_no_more(f):
    faint = RIGHT * f.smallest_normal * 1e-3
    zeros = torch.zeros_like(faint)
    assert judge_output(0, zeros, faint, zeros, f).outcome is Outcome.PASS
    loud = zeros + 4 * f.smallest_normal
    assert judge_output(0, loud, faint, zeros, f).outcome is Outcome.WRONG_VALUE


def test_what_is_above_the_smallest_normal_may_not_be_zero_beside_what_is_below():
    right = torch.cat([RIGHT * 1e-9, RIGHT.abs() + 1e-3], 1)
    got = right.clone()
    got[:, :6] = 0
    assert judge_output(0, got, right, None, FP16).outcome is Outcome.PASS
    got[:, 6:] = 0
    assert judge_output(0, got, right, None, FP16).outcome is Outcome.WRONG_VALUE
