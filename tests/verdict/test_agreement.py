import torch

from harness.verdict.agreement import agreement, ranked
from harness.verdict.oracle import Truth
from harness.verdict.table import MODEL
from harness.verdict.tolerance import FP16

RIGHT = torch.tensor([[0.0, 1.0, 5.0, 2.0, 3.0, 4.0], [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]]).double()


def bound(value):
    return torch.full_like(RIGHT, value)


def test_equal_scores_agree_wholly():
    assert ranked(RIGHT, RIGHT, bound(0.0)) == {"top1": 1.0, "tied": 0.0, "top5": 1.0}


def test_another_maximum_is_no_agreement():
    got = RIGHT.clone()
    got[0, 0] = 9.0
    assert ranked(got, RIGHT, bound(0.1)) == {"top1": 0.5, "tied": 0.0, "top5": 0.9}


def test_what_the_bounds_do_not_tell_apart_is_tied_and_no_agreement():
    got = RIGHT.clone()
    got[0, 5] = 5.5
    assert ranked(got, RIGHT, bound(0.5)) == {"top1": 0.5, "tied": 0.5, "top5": 1.0}
    assert ranked(got, RIGHT, bound(0.4)) == {"top1": 0.5, "tied": 0.0, "top5": 1.0}


def test_elements_equal_in_the_truth_have_no_order():
    right = torch.tensor([[1.0, 1.0, 0.0]]).double()
    assert ranked(torch.tensor([[0.9, 1.0, 0.0]]), right, torch.zeros_like(right)) == {"top1": 1.0, "tied": 0.0}


def truth(*outputs):
    return Truth(list(outputs), list(outputs))


def test_the_first_floating_output_that_can_be_ranked():
    outputs = [torch.zeros(2, 3, dtype=torch.int64), torch.zeros(1, 3, 4, 4).double(), torch.zeros(4).double(), RIGHT]
    assert agreement(outputs, truth(*outputs), MODEL, FP16)["top1"] == 1.0
    assert agreement(outputs[:3], truth(*outputs[:3]), MODEL, FP16) == {}


def test_of_a_model_judged_by_its_signal_scores_are_tied_within_a_unit_of_the_last_place():
    right, got = torch.tensor([[1.0, 1.001]]).double(), torch.tensor([[1.001, 1.0]])
    assert agreement([got], truth(right), MODEL, FP16) == {"top1": 0.0, "tied": 1.0}
    far = torch.tensor([[1.0, 1.01]]).double()
    assert agreement([got], truth(far), MODEL, FP16) == {"top1": 0.0, "tied": 0.0}
