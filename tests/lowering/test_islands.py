import pytest

from harness.evidence.division import Island
from harness.lowering.islands import division_of, islands
from harness.lowering.program import Delegate, DelegateCall, EagerCall, GetItem, Input, LoweredProgram, Value

A, B, C = "aten.a.default", "aten.b.default", "aten.c.default"
#: The program's only input.
X = Value(0)


def eager(name, out, *arguments, flops=None, **keywords):
    return EagerCall(name, arguments, keywords, Value(out), flops)


def delegate(out, *arguments, number=0):
    return [DelegateCall(number, arguments, Value(out)), GetItem(Value(out), 0, Value(out + 1))]


def program(*steps, flops=(0,)):
    delegates = tuple(Delegate(b"", (), (), {}, flops=n) for n in flops)
    return LoweredProgram((Input("x", X, None, "user"),), steps, (), delegates)


def test_a_delegate_parts_islands():
    steps = [eager(A, 1, X), *delegate(2, Value(1)), eager(A, 4, Value(3)), eager(B, 5, Value(4))]
    assert list(islands(program(*steps))) == [{A: 1}, {A: 1, B: 1}]


def test_nodes_that_only_share_an_input_are_apart():
    assert list(islands(program(eager(A, 1, X), eager(A, 2, X)))) == [{A: 1}, {A: 1}]


def test_a_node_that_takes_from_both_joins_them():
    steps = [eager(A, 1, X), eager(B, 2, X), eager(C, 3, [Value(1)], other=Value(2)), eager(A, 4, Value(2))]
    assert list(islands(program(*steps))) == [{A: 2, B: 1, C: 1}]


def test_one_of_several_results_belongs_to_the_island():
    steps = [eager(A, 1, X), GetItem(Value(1), 1, Value(2)), eager(B, 3, Value(2))]
    assert list(islands(program(*steps))) == [{A: 1, B: 1}]


def test_results_of_one_delegate_join_nothing():
    call = DelegateCall(0, (X,), Value(1))
    results = [GetItem(Value(1), 0, Value(2)), GetItem(Value(1), 1, Value(3))]
    assert list(islands(program(call, *results, eager(A, 4, Value(2)), eager(B, 5, Value(3))))) == [{A: 1}, {B: 1}]


def test_arithmetic_with_sizes_is_no_island_and_joins_one():
    assert list(islands(program(eager("operator.add", 1, 1, 2)))) == []
    assert list(islands(program(eager(A, 1, X), eager("operator.add", 2, Value(1), 1), eager(B, 3, Value(2))))) == [
        {A: 1, B: 1}
    ]


def test_equal_islands_are_told_once():
    one = program(eager(A, 1, X, flops=5), *delegate(2, Value(1)), eager(A, 4, Value(3), flops=7), flops=(30,))
    division = division_of([one, one])
    assert (division.delegates, division.islands) == (2, (Island({A: 1}, 4),))
    assert (division.flops, division.delegated_flops) == (84, 60)


@pytest.mark.parametrize(("outside", "inside", "expected"), [(None, 3, (None, 3)), (2, None, (None, None))])
def test_what_is_not_known_of_one_is_not_known_of_all(outside, inside, expected):
    division = division_of([program(eager(A, 1, X, flops=outside), *delegate(2, Value(1)), flops=(inside,))])
    assert (division.flops, division.delegated_flops) == expected
