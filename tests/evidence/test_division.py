import json

import pytest

from harness.evidence.division import Division, Island, alike
from harness.evidence.vocabulary import HarnessError

A, B = "aten.a.default", "aten.b.default"
DIVIDED = Division(3, (Island({A: 1}, 2), Island({A: 2, B: 1})), 400, 100)


@pytest.mark.parametrize("division", [DIVIDED, Division(), Division(1, (), 0, 0)])
def test_a_division_comes_back_equal(division):
    assert Division.from_json(json.loads(json.dumps(division.to_json()))) == division


def test_what_is_unknown_is_left_out():
    assert Division(1).to_json() == {"delegates": 1}


def test_islands_and_the_operators_that_make_them_are_counted():
    assert DIVIDED.number_of_islands == 3
    assert DIVIDED.on_islands == {A: 3, B: 1}


def test_equal_islands_are_one_the_most_frequent_first():
    assert alike([{A: 1}, {B: 1, A: 2}, {B: 1}, {B: 1}]) == (Island({B: 1}, 2), Island({A: 1}), Island({A: 2, B: 1}))


@pytest.mark.parametrize(
    "wrong",
    [[1], {"delegates": "2"}, {"delegates": 1.5}, {"flops": True}, {"islands": [{}]}, {"islands": [1]}, {"more": 1}]
    + [{"islands": [{"operators": {A: "1"}}]}, {"islands": [{"operators": {A: 1}, "times": None}]}],
)
def test_what_is_no_division_is_refused(wrong):
    with pytest.raises(HarnessError, match="division"):
        Division.from_json(wrong)
