import re

import pytest

from harness.evidence.vocabulary import HarnessError
from harness.publish.counterparts import counterparts

LINUX = {"os": "linux 6.1", "machine": "x86_64", "chip": "one CPU"}
M2 = {"os": "macos 15.2", "machine": "arm64", "chip": "Apple M2"}
M4 = M2 | {"chip": "Apple M4"}


def pairs(baseline, candidate):
    found = counterparts(baseline, candidate)
    return found.pairs, found.gone, found.new


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (LINUX, LINUX | {"versions": {"torch": "9"}, "date": "2027-01-01", "python": "3.13.0"}),
        (LINUX, LINUX | {"os": "linux 7.0-13"}),
        (LINUX, LINUX | {"chip": "another CPU"}),
        (M2, M2 | {"os": "macos 26.0"}),
        (M2 | {"connected": {"a": {"model": "iPhone17,1"}}}, M2 | {"connected": {"b": {"model": "iPhone17,1"}}}),
    ],
)
def test_versions_and_systems_releases_may_differ(before, after):
    assert pairs({"old": before}, {"new": after}) == ((("old", "new"),), (), ())


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (LINUX, M2),
        (LINUX, LINUX | {"machine": "aarch64"}),
        (M2, M4),
        (M2, M2 | {"simulated": True}),
        (M2, M2 | {"connected": {"a": {"model": "iPhone17,1"}}}),
    ],
)
def test_another_machine_is_no_counterpart(before, after):
    assert pairs({"old": before}, {"new": after}) == ((), ("old",), ("new",))


def test_the_same_id_comes_first_then_the_same_release_of_the_system():
    assert pairs({"a": M2, "b": LINUX}, {"b": LINUX, "a": M2}) == ((("a", "a"), ("b", "b")), (), ())
    later = M2 | {"os": "macos 26.0"}
    assert pairs({"a": M2, "b": later}, {"c": later, "d": M2})[0] == (("a", "d"), ("b", "c"))
    assert pairs({"a": M2, "b": later}, {"c": later, "d": M2 | {"os": "macos 27.0"}})[0] == (("a", "d"), ("b", "c"))


@pytest.mark.parametrize(("before", "after"), [(["a", "b"], ["c"]), (["a"], ["b", "c"]), (["a", "b"], ["c", "d"])])
def test_where_several_fit_nothing_is_guessed(before, after):
    says = f"environments {', '.join(before)} of the baseline and {', '.join(after)} of the candidate are of the same"
    with pytest.raises(HarnessError, match=re.escape(says)):
        counterparts(dict.fromkeys(before, LINUX), dict.fromkeys(after, LINUX))
