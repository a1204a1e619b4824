"""Signs of injected errors: random between elements, balanced between calls, the same when drawn again."""

import itertools

import pytest
import torch

from harness.verdict.signs import RUNS, Signs, even

WORDS = [[1 if even(word, run) else -1 for run in range(RUNS)] for word in range(64)]


def test_no_two_calls_have_one_sign_in_all_runs_or_opposite_ones():
    for a, b in itertools.combinations(WORDS, 2):
        alike = sum(x == y for x, y in zip(a, b, strict=True))
        assert 2 <= alike <= 6


def test_eight_calls_one_after_the_other_are_orthogonal():
    for a, b in itertools.combinations(WORDS[:8], 2):
        assert sum(x * y for x, y in zip(a, b, strict=True)) == 0


def test_the_larger_of_sum_and_difference_comes_up_at_every_element():
    sums = torch.zeros(RUNS, 500)
    for run in range(RUNS):
        signs = Signs(run, seed=1)
        sums[run] = signs.draw(torch.Size([500])) + signs.draw(torch.Size([500]))
    assert bool((sums.abs().amax(0) == 2).all())
    assert bool((sums.abs().amin(0) == 0).all())


def test_elements_and_blocks_of_calls_are_independent():
    signs = Signs(3, seed=1)
    drawn = torch.stack([signs.draw(torch.Size([4000])) for _ in range(130)])
    assert set(drawn.unique().tolist()) == {-1.0, 1.0}
    assert float(drawn[0].mean().abs()) < 0.1
    assert float((drawn[0] * drawn[64]).mean().abs()) < 0.1
    assert float((drawn[0] * Signs(4, seed=1).draw(torch.Size([4000]))).mean().abs()) < 0.1


def test_set_back_it_draws_the_same_again():
    signs = Signs(5, seed=1)
    signs.draw(torch.Size([3]))
    at = signs.drawn
    first = signs.draw(torch.Size([2, 50]))
    signs.drawn = at
    assert torch.equal(signs.draw(torch.Size([2, 50])), first)


@pytest.mark.parametrize("run", [-1, RUNS])
def test_a_run_that_does_not_exist_is_refused(run):
    with pytest.raises(ValueError, match="there are 8"):
        Signs(run, seed=1)
