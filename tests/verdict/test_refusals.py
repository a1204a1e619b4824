from __future__ import annotations

import pytest
import torch

from harness.cases.case import Arguments
from harness.evidence.record import Record
from harness.evidence.vocabulary import Outcome, Phase
from harness.verdict.refusals import after_refusals

REFUSED = tuple(Arguments((torch.zeros(size, 2), 3, torch.zeros(4))) for size in (1, 9))


def record(outcome: Outcome) -> Record:
    return Record("shapes/linear/float32/batch", "fp32-ios18", "reference", outcome, Phase.VALUE, api="linear")


def test_a_program_that_refuses_what_it_has_to_keeps_its_outcome() -> None:
    for outcome in Outcome:
        assert after_refusals(record(outcome), REFUSED, []) == record(outcome)


def test_an_answer_is_an_outcome_of_its_own() -> None:
    found = after_refusals(record(Outcome.PASS), REFUSED, [1])
    assert (found.outcome, found.phase) == (Outcome.NOT_REFUSED, Phase.RUN)
    assert found.reason == "answers 1 of 2 calls that it has to refuse: refused[1] [9, 2], [4]"
    assert found.error is not None
    assert found.error.signature == "not_refused"
    both = after_refusals(record(Outcome.PASS), REFUSED, [0, 1])
    assert both.reason.endswith("refused[0] [1, 2], [4]; refused[1] [9, 2], [4]")


@pytest.mark.parametrize("outcome", [Outcome.WRONG_VALUE, Outcome.RUN_ERROR, Outcome.NOT_RUN])
def test_what_is_wrong_besides_comes_first(outcome: Outcome) -> None:
    assert after_refusals(record(outcome), REFUSED, [0]) == record(outcome)
