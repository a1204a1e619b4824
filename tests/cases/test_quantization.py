from __future__ import annotations

import pytest
import torch

from harness.cases import find, quantization
from harness.cases.case import Case, at_level
from harness.evidence.recipe import QUANTIZATIONS, Flow, Recipe
from harness.evidence.vocabulary import Level

BY_ID = {case.id: case for case in quantization.cases()}
OWN = [case for name, case in BY_ID.items() if "/model." not in name]


def test_a_case_is_listed_once_by_a_recipe_and_found_by_its_id() -> None:
    checks = [(case.id, recipe) for case in quantization.cases() for recipe in case.recipes]
    assert len(set(checks)) == len(checks)
    assert all(find.find(name).build == case.build for name, case in BY_ID.items())


def test_every_scheme_is_tried_at_its_lowest_target_and_at_ios18_in_both_precisions() -> None:
    tried = {Recipe.parse(name) for case in quantization.cases() for name in case.recipes}
    for scheme in QUANTIZATIONS.values():
        for target in (scheme.lowest, "iOS18"):
            for precision in ("fp16", "fp32"):
                assert Recipe(precision, target, scheme.name) in tried
    flows = {
        Recipe.parse(name).scheme.flow  # type: ignore[union-attr]
        for case in at_level(quantization.cases(), Level.STANDARD)
        for name in case.recipes
    }
    assert flows == set(Flow)


@pytest.mark.parametrize("case", OWN, ids=lambda case: case.op)
def test_a_case_is_the_same_each_time(case: Case) -> None:
    first, again = case.build(), case.build()
    assert not first.module.training
    for one, other in ((first.inputs, again.inputs), (first.module.state_dict(), again.module.state_dict())):
        left, right = (list(x.values()) if isinstance(x, dict) else list(x) for x in (one, other))
        assert all(torch.equal(a, b) for a, b in zip(left, right, strict=True))
    assert torch.isfinite(first.module(*first.inputs)).all()
    assert bool(first.calls) is case.op.endswith("-beyond")
