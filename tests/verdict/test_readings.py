"""The result most in favour of a program, element by element."""

import torch

from harness.verdict.readings import nearest

NAN = float("nan")
RIGHT = [torch.tensor([1.0, 2.0, 3.0, NAN])]


def test_of_each_element_the_answer_nearest_to_the_truth_is_taken():
    first, other = [torch.tensor([1.0, NAN, 5.0, NAN])], [torch.tensor([9.0, 2.0, 4.0, 0.0])]
    assert nearest(first, [other], [], RIGHT)[0].nan_to_num(-1).tolist() == [1.0, 2.0, 4.0, -1.0]


def test_what_differs_when_filled_may_be_anything():
    first, filled = [torch.tensor([7.0, 8.0, 3.0, 1.0])], [torch.tensor([NAN, 8.0, 3.0, NAN])]
    assert nearest(first, [], [filled], RIGHT)[0].nan_to_num(-1).tolist() == [1.0, 8.0, 3.0, -1.0]


def test_what_is_wrong_by_every_reading_stays_wrong():
    first = [torch.tensor([0.0, 0.0, 0.0, 0.0])]
    assert nearest(first, [first, first], [first], RIGHT)[0].tolist() == [0.0] * 4


def test_integers_are_chosen_too_and_another_shape_says_nothing():
    first, other = [torch.tensor([1, 5])], [torch.tensor([0, 2])]
    assert nearest(first, [other, [torch.tensor([1, 2, 3])]], [], [torch.tensor([1, 2])])[0].tolist() == [1, 2]


def test_arguments_stay_as_they_are():
    first = [torch.tensor([5.0])]
    nearest(first, [[torch.tensor([1.0])]], [], [torch.tensor([1.0])])
    assert first[0].item() == 5.0
