"""Which recipes a case is checked by, at which level."""

import dataclasses

import pytest

from harness.cases.case import Case
from harness.evidence.vocabulary import HarnessError, Kind, Level
from harness.plugin.selection import Selection

OWN, MORE = ("fp16-ios18", "default"), ("fp16-ios18-codebook4",)


@dataclasses.dataclass
class Config:
    options: dict

    def getoption(self, name):
        return self.options.get(name)


def recipes(level="standard", asked=(), own=OWN, more=MORE):
    about = {"id": "models/m", "kind": Kind.MODEL, "op": "model.m", "api": "m", "dtype": "float32", "origin": "model"}
    case = Case(**about, level=Level.STANDARD, build=lambda: None, recipes=own, at_full=more)
    selection = Selection(Config({"--level": level, "--recipe": asked, "--unit": ["reference"]}))
    return [recipe.name for recipe in selection.recipes_of(case)]


def test_a_case_is_checked_by_its_own_recipes_and_at_full_by_more():
    assert recipes() == list(OWN)
    assert recipes("full") == [*OWN, *MORE]
    assert recipes(own=(), more=()) == ["fp32-ios18", "fp16-ios18"]


def test_a_recipe_that_is_asked_for_is_run_whatever_the_level():
    assert recipes(asked=MORE) == list(MORE)
    assert recipes(asked=("default", "fp32-ios15")) == ["default"]
    assert recipes(asked=("fp32-ios15",), own=(), more=()) == ["fp32-ios15"]


def test_an_unknown_level_is_one_clear_line():
    with pytest.raises(HarnessError, match="unknown level 'all': expected one of smoke, standard, full"):
        recipes("all")
