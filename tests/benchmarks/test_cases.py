import pytest

from benchmarks.cases import block, evenly


def test_evenly_takes_from_the_whole_range():
    assert evenly(list(range(10)), 5) == [0, 2, 4, 6, 8]
    assert evenly([1, 2], 5) == [1, 2]


@pytest.mark.parametrize("of", [1, 2, 3, 7])
def test_blocks_share_out_everything_once(of):
    things = list(range(10))
    assert sorted(thing for number in range(of) for thing in block(things, number, of)) == things
