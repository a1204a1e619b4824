from __future__ import annotations

import pytest

from harness.evidence.recipe import DEFAULT_RECIPES, PRECISIONS, TARGETS, Recipe
from harness.evidence.vocabulary import HarnessError


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("target", TARGETS)
def test_a_name_says_everything(precision: str, target: str) -> None:
    recipe = Recipe.parse(f"{precision}-{target}")
    assert (recipe.precision, recipe.target) == (precision, TARGETS[target].name)
    assert recipe.name == f"{precision}-{target}"


def test_the_default_recipes_are_recipes() -> None:
    assert [Recipe.parse(name).name for name in DEFAULT_RECIPES] == list(DEFAULT_RECIPES)


@pytest.mark.parametrize("name", ["", "fp16", "fp8-ios18", "fp16-ios99", "fp16-iOS18", "ios18-fp16", "fp16-ios18-int8"])
def test_an_unknown_name_is_refused_with_the_known_parts(name: str) -> None:
    with pytest.raises(HarnessError) as caught:
        Recipe.parse(name)
    message = str(caught.value)
    assert repr(name) in message
    assert "fp16" in message
    assert "ios18" in message
    assert "\n" not in message
