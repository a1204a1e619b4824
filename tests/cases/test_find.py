from dataclasses import replace

import pytest

from harness.cases.case import at_level
from harness.cases.find import SUITES, all_cases, find, suite
from harness.evidence.vocabulary import HarnessError, Level


@pytest.mark.parametrize("name", SUITES)
def test_a_case_is_found_by_its_id_and_its_suite_by_the_ids_first_part(name):
    cases = suite(name)
    for case in (cases[0], cases[len(cases) // 2], cases[-1]):
        assert case.id.split("/")[0] == name
        # A suite may list a case at two levels, with other recipes at each.
        assert replace(find(case.id), level=case.level, recipes=case.recipes) == case


@pytest.mark.parametrize(
    "identity", ["", "ops", "ops/", "tea/aten.neg.default/float32/opinfo-0", "ops/aten.neg.default"]
)
def test_an_id_of_no_case_is_refused(identity):
    with pytest.raises(HarnessError, match="no case"):
        find(identity)


@pytest.mark.parametrize("level", Level)
def test_cases_made_for_a_level_are_those_of_it_and_in_the_same_order(level):
    assert all_cases(level) == at_level(all_cases(), level)


def test_no_case_of_another_level_is_made():
    assert {case.level for case in suite("ops", Level.SMOKE)} == {Level.SMOKE}
