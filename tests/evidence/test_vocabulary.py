import pytest

from harness.evidence.vocabulary import (
    BEFORE_RUNNING,
    BY_VALUE,
    DELEGATED,
    FAILING,
    ORDER,
    OUTCOME_MEANINGS,
    RANK,
    SEVERITY,
    UNJUDGED,
    WORKING,
    Effect,
    Outcome,
    Phase,
    Trait,
    outcomes_of,
    outcomes_with,
)


def test_every_outcome_has_one_row_and_a_meaning():
    assert sorted(ORDER) == sorted(Outcome)
    assert all(OUTCOME_MEANINGS[outcome] for outcome in Outcome)


def test_every_judged_outcome_has_one_place_in_the_order():
    assert set(SEVERITY) | UNJUDGED == set(Outcome)
    assert not set(SEVERITY) & UNJUDGED
    assert [RANK[outcome] for outcome in SEVERITY] == list(range(len(SEVERITY)))
    assert ORDER[: len(SEVERITY)] == SEVERITY


def test_working_outcomes_are_the_mildest():
    assert frozenset(SEVERITY[: len(WORKING)]) == WORKING


def test_an_outcome_works_fails_or_judges_nothing():
    assert set(Outcome) == WORKING | FAILING | UNJUDGED
    assert not WORKING & FAILING
    assert not FAILING & UNJUDGED


def test_every_effect_is_that_of_an_outcome_and_what_judges_nothing_has_none():
    assert all(outcomes_of(effect) for effect in Effect)
    assert outcomes_of(Effect.NOTHING) == UNJUDGED


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (outcomes_with(Trait.WRONG), {"wrong_value", "wrong_shape", "wrong_dtype", "out_of_range"}),
        (outcomes_with(Trait.ROUNDING), {"wrong_value", "out_of_range"}),
        (outcomes_with(Trait.BOUNDED), {"pass", "partial", "non_deterministic", "wrong_value", "out_of_range"}),
        (set(Outcome) - outcomes_with(Trait.CAUSED), {"pass", "not_run"}),
        (outcomes_with(Trait.LIMITED), {"partial", "fallback", "unsupported"}),
        (
            outcomes_with(Trait.SETTLED),
            {"partial", "fallback", "unsupported", "convert_error", "emit_error", "invalid_case"},
        ),
        (WORKING, {"pass", "partial", "fallback"}),
        (DELEGATED, {"pass", "partial"}),
        (UNJUDGED, {"not_run", "invalid_case"}),
        (
            BY_VALUE,
            {"wrong_value", "wrong_shape", "wrong_dtype", "out_of_range", "non_deterministic", "not_refused"},
        ),
    ],
)
def test_what_follows_from_the_table(found: set[Outcome], expected: set[str]):
    assert set(map(str, found)) == expected


def test_what_is_wrong_was_answered():
    assert outcomes_with(Trait.WRONG) <= outcomes_with(Trait.ANSWERED)
    assert outcomes_with(Trait.ROUNDING) <= outcomes_with(Trait.WRONG)


def test_phases_before_running_are_the_first_of_the_ladder():
    ladder = list(Phase)
    assert frozenset(ladder[: len(BEFORE_RUNNING)]) == BEFORE_RUNNING
    assert Phase.LOAD not in BEFORE_RUNNING
