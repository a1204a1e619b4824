"""Resumption: what is made, and what is not made again."""

import pytest

from benchmarks import run
from benchmarks.section import Findings, Section, Table
from benchmarks.sizes import FULL, QUICK, TINY
from benchmarks.store import Measurement, Store
from harness.evidence.vocabulary import HarnessError


def section(name="peer", parts=("a", "b", "c")):
    return Section(
        name=name,
        title=name,
        wanted=("quick",),
        plan=lambda size: [Measurement(name, part, "some.module", (name, part, size.name)) for part in parts],
        summarise=lambda results: Findings((Table(("what", "value"), tuple(sorted(results.items()))),)),
    )


class Making:
    """Stands for the subprocesses; gives out at `fails_at`."""

    def __init__(self, fails_at=None):
        self.made, self.fails_at = [], fails_at

    def __call__(self, module, arguments):
        if arguments[1] == self.fails_at:
            raise HarnessError("interrupted")
        self.made.append(arguments[1])
        return f"value of {arguments[1]}"


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path, "code 1")


def test_an_interrupted_section_goes_on_where_it_was(store):
    with pytest.raises(HarnessError):
        run.measure(section(), TINY, store, first := Making(fails_at="b"))
    run.start_anew_if_finished([section()], TINY, store)
    run.measure(section(), TINY, store, second := Making())
    assert (first.made, second.made) == (["a"], ["b", "c"])


def test_a_finished_run_starts_anew(store):
    run.measure(section(), TINY, store, Making())
    run.start_anew_if_finished([section()], TINY, store)
    run.measure(section(), TINY, store, again := Making())
    assert again.made == ["a", "b", "c"]


def test_a_finished_section_waits_for_the_others(store):
    both = [section("peer"), section("floor")]
    run.measure(both[0], TINY, store, Making())
    run.start_anew_if_finished(both, TINY, store)
    assert store.due(both[0].plan(TINY)) == []


def test_sizes_do_not_take_each_others_results(store):
    run.measure(section(), TINY, store, Making())
    assert run.measured(section(), QUICK, store).findings is None


def test_what_is_missing_of_a_section_is_named(store):
    with pytest.raises(HarnessError):
        run.measure(section(), TINY, store, Making(fails_at="c"))
    measured = run.measured(section(), TINY, store)
    assert measured.unfinished == ("c",)
    assert measured.findings.tables[0].rows == (("a", "value of a"), ("b", "value of b"))
    assert len(measured.origins) == 1


def test_only_a_full_measurement_goes_into_the_reports():
    assert run.page_path(FULL).parent.name == "reports"
    assert "runs" in run.page_path(QUICK).parts


@pytest.mark.parametrize("size", [FULL, QUICK, TINY], ids=lambda size: size.name)
def test_every_measurement_has_a_name_of_its_own(size):
    for each in run.SECTIONS:
        names = [one.name for one in each.plan(size)]
        assert len(set(names)) == len(names) > 1
        assert {one.section for one in each.plan(size)} == {each.name}
