from __future__ import annotations

import pytest
import torch

from harness.cases import find, state
from harness.cases.case import Case, at_level
from harness.evidence.vocabulary import Level
from harness.verdict.oracle import truth, truth_of_buffers


def test_ids_are_found_and_smoke_is_a_part() -> None:
    cases = state.cases()
    assert len({case.id for case in cases}) == len(cases) == 2 * len(state.CASES)
    assert [find.find(case.id) for case in cases] == list(cases)
    assert 0 < len(at_level(cases, Level.SMOKE)) < len(at_level(cases, Level.STANDARD)) == len(cases)


@pytest.mark.parametrize("case", state.cases(), ids=lambda case: case.op)
def test_a_case_writes_to_its_buffers_and_has_a_truth(case: Case) -> None:
    built = case.build()
    before = {name: value.clone() for name, value in built.module.named_buffers()}
    assert before
    *calls, last = built.own.arguments
    assert len(calls) == state.CALLS - 1
    found = truth(built.module, last.inputs, None, calls)
    after = truth_of_buffers(built.module, last.inputs, list(before), None, calls)
    assert all(torch.isfinite(value).all() for value in [*found.outputs, *after.outputs])
    for name, value in zip(before, after.reference, strict=True):
        assert not torch.equal(before[name], value), name
        assert torch.equal(dict(built.module.named_buffers())[name], before[name]), "the case itself is unchanged"
    again = case.build()
    pairs = zip(built.own.arguments, again.own.arguments, strict=True)
    assert all(torch.equal(a, b) for one, other in pairs for a, b in zip(one.inputs, other.inputs, strict=True))


def test_each_module_is_there_with_its_buffers_taken_over_and_left() -> None:
    left = {case.op for case in state.cases() if dict(case.build().partitioning.options) == {state.LEFT: False}}
    assert left == {case.op for case in state.cases() if not case.build().partitioning.options} != set()


def test_some_begin_with_a_value() -> None:
    starts = [
        bool(value.any()) for case in state.cases() for value in dict(case.build().module.named_buffers()).values()
    ]
    assert {True, False} == set(starts)
