from __future__ import annotations

from dataclasses import replace

import pytest

from harness.evidence.check import Check
from harness.evidence.ids import check_id, split_check_id
from harness.evidence.recipe import Recipe
from harness.evidence.unit import UnitSpec
from harness.evidence.vocabulary import HarnessError, Unit


@pytest.mark.parametrize("unit", ["reference", "executorch:cpu_only", "device:Test iPhone:all"])
def test_a_check_is_printed_as_its_id_and_made_from_its_parts_again(check, unit: str) -> None:
    one = check("ops/a/f/opinfo-0", "fp32-ios17", unit)
    assert str(one) == f"ops/a/f/opinfo-0@fp32-ios17@{unit}"
    case, recipe, name = split_check_id(str(one))
    assert case == one.case.id
    assert Check.of(one.case, recipe, name) == one


def test_names_and_values_make_the_same_check(check) -> None:
    case = check().case
    one = Check.of(case, Recipe.parse("fp16-ios18"), UnitSpec(Unit.ALL))
    assert one == Check.of(case, "fp16-ios18", "all")
    assert hash(one) == hash(Check.of(case, "fp16-ios18", "all"))
    assert one != Check.of(replace(case, id="another"), "fp16-ios18", "all")


@pytest.mark.parametrize(
    ("recipe", "unit", "says"),
    [("fp8-ios18", "reference", "unknown recipe 'fp8-ios18'"), ("fp16-ios18", "npu", "unknown unit 'npu'")],
)
def test_what_is_unknown_is_refused_at_the_door(check, recipe: str, unit: str, says: str) -> None:
    with pytest.raises(HarnessError, match=says):
        Check.of(check().case, recipe, unit)


def test_check_id_splits_again() -> None:
    assert check_id("a", "b", "c") == "a@b@c"
    assert split_check_id("a@b@c") == ("a", "b", "c")


@pytest.mark.parametrize("text", ["", "a", "a@b", "a@b@", "@b@c", "a@b@c@d"])
def test_other_texts_are_no_check_ids(text: str) -> None:
    with pytest.raises(HarnessError, match="not a check id"):
        split_check_id(text)
