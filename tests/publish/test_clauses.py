"""Conditions over random facts: what a clause says is so of every sample, and shorter ones come first."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.publish.clauses import ALTERNATIVES, Clause, Term, separate

names = st.sampled_from("abcdefghij")
calls = st.lists(st.dictionaries(names, st.integers(1, 7), max_size=6), max_size=6)
hints = st.sampled_from(["", "a", "b and c", "when d or e"])


@given(calls, calls, hints)
@settings(max_examples=150, deadline=None)
def test_a_clause_is_true_of_every_failing_call_and_of_no_passing_one(failing, passing, hint):
    clause = separate(failing, passing, hint)
    if clause is None:
        return
    assert all(clause.holds(call) for call in failing)
    assert not any(clause.holds(call) for call in passing)
    assert 1 <= len(clause.terms) <= ALTERNATIVES
    assert all(1 <= len(term.facts) <= 3 for term in clause.terms)


@given(calls, calls, hints)
@settings(max_examples=100, deadline=None)
def test_a_fact_that_separates_is_never_missed(failing, passing, hint):
    common = set.intersection(*map(set, failing)) if failing else set()
    separating = [fact for fact in common if not any(fact in call for call in passing)]
    clause = separate(failing, passing, hint)
    if separating and passing:
        assert clause is not None
        assert len(clause.terms) == 1


@given(calls, calls, hints, st.randoms())
@settings(max_examples=100, deadline=None)
def test_the_order_of_the_calls_makes_no_difference(failing, passing, hint, random):
    one = separate(failing, passing, hint)
    shuffled = [dict(random.sample(list(call.items()), len(call))) for call in failing]
    random.shuffle(shuffled)
    assert str(separate(shuffled, random.sample(passing, len(passing)), hint)) == str(one)


def test_where_nothing_passes_or_nothing_tells_them_apart_there_is_none():
    assert separate([{"a": 1}], []) is None
    assert separate([], [{"a": 1}]) is None
    assert separate([{"a": 1}], [{"a": 1, "b": 1}]) is None


def test_the_lightest_fact_is_told():
    assert str(separate([{"a": 2, "b": 1, "c": 1}], [{"c": 1}])) == "b"


def test_what_tells_a_call_from_the_one_most_like_it_is_lighter():
    failing = [{"b": 2, "c": 1, "d": 1, "x": 2}, {"b": 2, "e": 1, "f": 1, "x": 2}]
    passing = [{"c": 1, "d": 1, "x": 2}, {"e": 1, "f": 1, "x": 2}, {"b": 2}]
    assert str(separate(failing, passing)) == "b and x"
    assert str(separate([{"a": 2, "b": 2}], [{"b": 2}, {"c": 1}])) == "a"


def test_two_light_facts_are_told_before_a_heavy_one():
    failing, passing = [{"a": 1, "b": 1, "heavy": 8}], [{"a": 1}, {"b": 1}]
    assert str(separate(failing, passing)) == "a and b"
    assert str(separate([{"a": 1, "b": 1, "heavy": 3}], passing)) == "heavy"


def test_alternatives_where_no_fact_is_true_of_all():
    clause = separate([{"a": 1, "c": 1}, {"b": 1, "c": 1}], [{"c": 1}])
    assert clause is not None
    assert {term.facts for term in clause.terms} == {("a",), ("b",)}
    assert str(clause) == "a, or b"
    assert separate([{name: 1} for name in "abcd"], [{"z": 1}]) is None, "more than are told"


@pytest.mark.parametrize("hint", ["a `weight` that is odd", "the weight alone"])
def test_words_of_what_is_known_make_a_fact_lighter(hint):
    failing, passing = [{"`weight` even": 3, "`alpha` even": 2}], [{"other": 1}]
    assert str(separate(failing, passing)) == "`alpha` even"
    assert str(separate(failing, passing, hint)) == "`weight` even"


def test_facts_that_the_cause_states_are_told_if_they_hold():
    failing, hint = [{"`dim` above 1": 1, "`weight` odd": 3}], "a dim above 1 and a weight odd"
    assert str(separate(failing, [{"z": 1}], hint)) == "`dim` above 1 and `weight` odd"
    contradicted = separate(failing, [{"`dim` above 1": 1, "`weight` odd": 3}], hint)
    assert contradicted is None, "planted: what is stated is true of a call that works"
    longer = [{"negative `dim`": 1, "negative `dim` other than -1": 3}]
    assert str(separate(longer, [{"z": 1}], "a negative dim other than -1")) == "negative `dim` other than -1"


def test_a_clause_in_words():
    clause = Clause((Term(("a", "b"), 2), Term(("c",), 1)))
    assert str(clause) == "a and b, or c"
    assert clause.holds({"c": 1})
    assert not clause.holds({"a": 1})
