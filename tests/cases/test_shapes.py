from __future__ import annotations

import pytest
import torch

from harness.cases import find, shapes
from harness.cases.case import Case, at_level
from harness.evidence.vocabulary import Level
from harness.verdict.oracle import truth


def test_ids_are_found_and_smoke_is_a_part() -> None:
    cases = shapes.cases()
    assert len({case.id for case in cases}) == len(cases) == len(shapes.PROGRAMS)
    assert [find.find(case.id) for case in cases] == list(cases)
    assert len(at_level(cases, Level.SMOKE)) == len(shapes._SMOKE)
    assert len(at_level(cases, Level.STANDARD)) == len(cases)


@pytest.mark.parametrize("case", shapes.cases(), ids=lambda case: case.id)
def test_eager_answers_each_call_and_a_case_is_made_alike_twice(case: Case) -> None:
    built, again = case.build(), case.build()
    for one, other in zip(built.own.arguments, again.own.arguments, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one.inputs, other.inputs, strict=True))
        assert truth(built.module, one.inputs).outputs
    sizes = {tuple(x.shape) for one in built.own.arguments for x in one.inputs}
    assert len(sizes) > 1 or built.dynamic_shapes is None


def test_what_is_refused_is_no_call() -> None:
    for one in shapes.PROGRAMS:
        assert not set(one.calls) & set(one.refused)


def test_each_dimension_is_tried_at_both_ends_and_beyond_one() -> None:
    for one in shapes.RANGES:
        for number, spans in enumerate(one.dynamic or ()):
            for place, span in spans.items():
                taken = {call[number][place] for call in one.calls}
                for end in (span.low, span.high):
                    assert end is None or end * span.step in taken, (one.name, one.label)
                if span.high is not None:
                    outside = {call[number][place] for call in one.refused}
                    low, high = (span.low or 0) * span.step, span.high * span.step
                    assert any(not low <= size <= high for size in outside), (one.name, one.label)


def test_enumerated_shapes_are_all_called_and_all_mixtures_refused() -> None:
    one = next(one for one in shapes.ENUMERATIONS if one.label == "pairs")
    assert one.calls == (((4, 6), (5, 5)), ((2, 6), (3, 5)))
    assert one.refused == (((2, 6), (5, 5)), ((4, 6), (3, 5)), ((3, 6), (3, 5)))
    assert dict(one.partitioning.enumerated) == {"x": ((4, 6), (2, 6)), "y": ((5, 5), (3, 5))}
