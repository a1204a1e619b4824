"""Two answers: how far apart, and which verdict rules."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.evidence.notes import Note, NoteCode
from harness.evidence.record import Numerics
from harness.evidence.vocabulary import SEVERITY, Outcome, Phase
from harness.verdict.compare import Verdict
from harness.verdict.difference import Difference, difference, worse

NAN, INF = math.nan, math.inf


def t(*values, dtype=torch.float32):
    return torch.tensor(values, dtype=dtype)


@pytest.mark.parametrize(
    ("got", "other"),
    [
        ([t(1.0, NAN, INF, -INF)], [t(1.0, NAN, INF, -INF)]),
        ([t(0.0)], [t(-0.0)]),
        ([t()], [t()]),
        ([torch.tensor(3)], [torch.tensor(3)]),
        ([t(True, False, dtype=torch.bool)], [t(True, False, dtype=torch.bool)]),
        ([t(1 + 2j, dtype=torch.complex64)], [t(1 + 2j, dtype=torch.complex64)]),
        ([], []),
    ],
)
def test_equal_answers(got, other):
    apart = difference(got, other, "fp16")
    assert apart.equal
    assert (apart.differing, apart.max_abs, apart.kind) == (0, 0.0, "")
    assert str(apart) == "the outputs are equal"


def test_the_distance_counts_elements_over_all_outputs():
    apart = difference([t(1.0, 2.0), t(4.0, 5.0, 6.0)], [t(1.0, 2.0), t(4.25, 5.0, 5.0)], "fp16")
    assert (apart.differing, apart.elements, apart.output) == (2, 5, 1)
    assert apart.max_abs == 1.0
    assert apart.max_ulp == 1.0 / 2.0**-8  # one at 5, where fp16 has 2^2 * 2^-10
    assert str(apart) == "2 of 5 elements differ, by 1 at most, first in output 1"


def test_the_unit_of_the_last_place_is_the_precisions():
    for precision, frac in (("fp16", 10), ("fp32", 23)):
        assert difference([t(1.0 + 2**-10)], [t(1.0)], precision).max_ulp == 2.0 ** (frac - 10)


def test_integers_beyond_float64_are_told_apart():
    apart = difference([torch.tensor([2**53 + 1])], [torch.tensor([2**53])], "fp32")
    assert apart.differing == 1
    assert not apart.equal


@pytest.mark.parametrize(
    ("got", "other", "kind"),
    [
        ([t(1.0)], [], "1 outputs against 0"),
        ([t(1.0)], [t(1.0, 2.0)], "output 0: shape [1] against [2]"),
        ([t(1.0)], [t(1.0, dtype=torch.float16)], "output 0: dtype float32 against float16"),
        ([t(1.0, NAN)], [t(1.0, 2.0)], "output 0[1]: nan against 2.0 (1 of 2 elements)"),
        ([t(1.0), t(2.0)], [t(1.0), t(INF)], "output 1[0]: 2.0 against inf (1 of 1 elements)"),
        ([t(INF)], [t(-INF)], "output 0[0]: inf against -inf (1 of 1 elements)"),
        ([torch.tensor(NAN)], [torch.tensor(1.0)], "output 0: nan against 1.0 (1 of 1 elements)"),
    ],
)
def test_what_no_rounding_gives_has_a_kind(got, other, kind):
    apart = difference(got, other, "fp32")
    assert apart.kind == kind == str(apart)
    assert not apart.equal


@given(st.lists(st.floats(width=32), min_size=1, max_size=6), st.lists(st.floats(width=32), min_size=1, max_size=6))
def test_a_difference_is_symmetric_but_for_its_ulp(one, other):
    there, back = (difference([t(*a)], [t(*b)], "fp32") for a, b in ((one, other), (other, one)))
    assert (there.equal, there.differing, there.max_abs) == (back.equal, back.differing, back.max_abs)
    assert difference([t(*one)], [t(*one)], "fp32").equal


# Which verdict rules.

A_NOTE = Note(NoteCode.TRUTH, "a note")
APART = Difference(1, 3, 0.5, 2.0, "", 0)


def verdict(outcome, headroom=2.0):
    return Verdict(outcome, Phase.VALUE, Numerics("ULP", headroom=headroom), f"it is {outcome}", [A_NOTE])


def test_two_answers_within_bounds_are_non_deterministic():
    for first, again, second in ((2.0, 5.0, False), (5.0, 2.0, True), (2.0, 2.0, False)):
        found, rules = worse(verdict(Outcome.PASS, first), verdict(Outcome.PASS, again), APART)
        assert (found.outcome, found.phase, rules) == (Outcome.NON_DETERMINISTIC, Phase.VALUE, second)
        assert found.numerics.headroom == 2.0
        assert found.reason == (
            "two equal predictions differ: 1 of 3 elements differ, by 0.5 at most, first in output 0; "
            "each within bounds"
        )


@pytest.mark.parametrize(
    ("first", "again", "second"),
    [
        (Outcome.PASS, Outcome.WRONG_VALUE, True),
        (Outcome.WRONG_VALUE, Outcome.PASS, False),
        (Outcome.OUT_OF_RANGE, Outcome.WRONG_VALUE, True),
        (Outcome.WRONG_SHAPE, Outcome.OUT_OF_RANGE, False),
        (Outcome.WRONG_VALUE, Outcome.WRONG_VALUE, False),
    ],
)
def test_the_worse_answer_rules_and_says_so(first, again, second):
    found, rules = worse(verdict(first), verdict(again), APART)
    assert rules is second
    assert found.outcome is max(first, again, key=SEVERITY.index)
    assert found.notes[0] == A_NOTE
    assert found.notes[1].code is NoteCode.NON_DETERMINISTIC
    assert str(found.notes[1]).startswith("two equal predictions differ: 1 of 3 elements differ")
    assert ("judged by the second" in str(found.notes[1])) is second


def test_other_bits_of_the_same_values_are_no_second_answer():
    first = Verdict(Outcome.PASS, Phase.VALUE)
    apart = difference([torch.tensor([-0.0, torch.nan])], [torch.tensor([0.0, torch.nan])], "fp16")
    assert worse(first, Verdict(Outcome.PASS, Phase.VALUE), apart) == (first, False)
    apart = difference([torch.tensor([1.0])], [torch.tensor([0.5])], "fp16")
    assert worse(first, Verdict(Outcome.PASS, Phase.VALUE), apart)[0].outcome is Outcome.NON_DETERMINISTIC
