from __future__ import annotations

from harness.cases import find, targets
from harness.evidence.recipe import TARGETS, Recipe
from harness.evidence.vocabulary import Level


def test_every_operator_of_level_smoke_is_checked_at_every_target() -> None:
    cases = targets.cases(())
    assert [case.id for case in cases] == [case.id for case in find.operators(Level.SMOKE)]
    assert {case.level for case in cases} == {Level.STANDARD}
    for case in cases:
        recipes = [Recipe.parse(name) for name in case.recipes]
        usual = {"iOS18"}  # that is what the operators' own suite checks
        assert {r.target for r in recipes if not r.bare} | usual == {target.name for target in TARGETS.values()}
        assert any(r.bare for r in recipes)
        assert not any(r.unchecked for r in recipes)


def test_what_is_refused_is_tried_with_the_edge_dialect_unchecked() -> None:
    refused = find.operators(Level.SMOKE)[0].id
    first, second = targets.cases({refused})[:2]
    assert first.id == refused
    assert [name for name in first.recipes if name not in second.recipes] == list(targets.UNCHECKED)


def test_a_case_is_found_again_by_its_id() -> None:
    case = targets.cases(())[-1]
    assert find.find(case.id) == next(c for c in find.operators(Level.SMOKE) if c.id == case.id)
