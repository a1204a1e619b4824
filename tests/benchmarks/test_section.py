import pytest

from benchmarks.section import Goal, shown
from benchmarks.spread import Spread


@pytest.mark.parametrize(
    ("bound", "spread", "met"),
    [
        ("at least", (6.0, 7.0, 8.0), "yes"),
        ("at least", (5.9, 7.0, 8.0), "not told"),
        ("at least", (4.0, 5.0, 5.9), "no"),
        ("at most", (4.0, 5.0, 6.0), "yes"),
        ("at most", (4.0, 5.0, 6.1), "not told"),
        ("at most", (6.1, 7.0, 8.0), "no"),
    ],
)
def test_a_goal_is_met_when_its_whole_spread_is_on_the_right_side(bound, spread, met):
    assert Goal("x", bound, 6.0, Spread(*spread)).met == met


def test_a_spread_is_shown_with_its_ends():
    assert shown(Spread(0.1, 0.25, 0.5), " s") == "0.250 s (0.100 to 0.500)"
