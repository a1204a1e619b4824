from harness.evidence.vocabulary import (
    BEFORE_RUNNING,
    OUTCOME_MEANINGS,
    SEVERITY,
    UNJUDGED,
    WORKING,
    Outcome,
    Phase,
)


def test_every_outcome_has_a_meaning():
    assert set(OUTCOME_MEANINGS) == set(Outcome)


def test_every_judged_outcome_has_one_place_in_the_order():
    assert len(set(SEVERITY)) == len(SEVERITY)
    assert set(SEVERITY) | UNJUDGED == set(Outcome)
    assert not set(SEVERITY) & UNJUDGED


def test_working_outcomes_are_the_mildest():
    assert frozenset(SEVERITY[: len(WORKING)]) == WORKING


def test_phases_before_running_are_the_first_of_the_ladder():
    ladder = list(Phase)
    assert frozenset(ladder[: len(BEFORE_RUNNING)]) == BEFORE_RUNNING
    assert Phase.LOAD not in BEFORE_RUNNING
