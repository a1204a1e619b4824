import importlib.util
import itertools
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from harness.evidence.journal import Journal
from harness.evidence.record import Record
from harness.evidence.vocabulary import HarnessError, Outcome, Phase

ROOT = Path(__file__).resolve().parents[2]

_spec = importlib.util.spec_from_file_location("scaling", ROOT / "benchmarks" / "scaling.py")
scaling = importlib.util.module_from_spec(_spec)
sys.modules["scaling"] = scaling  # dataclasses look their module up
_spec.loader.exec_module(scaling)

Case, Work = scaling.Case, scaling.Work
#: One model and small operators.
CASES = [Case(16.0, 11.0, 1.0), *(Case(0.2, 0.19, 0.01) for _ in range(99))]
ONE = scaling.Machines("one", 1, cores=2, workers=2, pace=1.0, setup=0.0, price=1.0)


def test_the_page_has_the_tables_of_these_durations():
    before = scaling.PAGE.read_text()
    assert scaling.page(before, scaling.read_recorded()) == before, "out of date: run benchmarks/scaling.py"


def test_a_page_without_a_place_for_a_table_is_refused():
    text = scaling.PAGE.read_text().replace("<!-- cache -->", "")
    with pytest.raises(HarnessError, match="no place for table cache"):
        scaling.page(text, CASES)


def test_a_worker_takes_the_next_case_when_it_is_free():
    assert scaling.finish([5.0, 1.0, 1.0, 1.0], 2) == 5.0
    assert scaling.finish([1.0, 1.0, 1.0, 5.0], 2) == 6.0
    assert scaling.finish([], 3) == 0.0


def test_more_checks_keep_the_proportions():
    for checks in (20, 200, 2_000):
        cases = scaling.scaled(CASES, checks)
        assert len(cases) == checks // 2
    assert sum(case.expected == 16.0 for case in scaling.scaled(CASES, 2_000)) == 10


def test_what_a_case_takes_by_units_and_cache():
    case = Case(1.0, 2.0, 0.5)
    assert scaling.seconds_of(case, Work(1)) == 2.5
    assert scaling.seconds_of(case, Work(1, warm=True)) == pytest.approx(2.0 * scaling.WARM + 0.5)
    both = scaling.seconds_of(case, Work(1, ("reference", "cpu_only")))
    assert both == pytest.approx(2.5 + 2 * (scaling.UNITS["cpu_only"] + scaling.COMPILE))
    # Compiling is done once for all units.
    three = scaling.seconds_of(case, Work(1, ("reference", "cpu_only", "all")))
    assert three == pytest.approx(both + 2 * scaling.UNITS["all"])
    assert scaling.seconds_of(case, Work(1, ("cpu_only",), core_ml=2.0)) == pytest.approx(2.0 + 4 * 0.3)


@pytest.mark.parametrize("even", [True, False])
def test_shards_part_the_cases(even):
    parts = scaling.parts_of(tuple(CASES), 200, 3, even, 0)
    assert sorted(map(repr, itertools.chain(*parts))) == sorted(map(repr, CASES))


def test_even_shards_and_longest_first_are_no_worse():
    work = Work(200, shards=3)
    assert scaling.simulate(CASES, work, ONE).balance < scaling.simulate(CASES, replace(work, even=False), ONE).balance
    work = Work(200)
    plain = [scaling.simulate(CASES, replace(work, longest_first=False), ONE, seed).longest_job for seed in range(5)]
    assert scaling.simulate(CASES, work, ONE).longest_job <= min(plain) < max(plain)


def test_the_price_is_of_begun_minutes_and_of_each_job():
    cost = scaling.simulate(CASES, Work(200, shards=2, systems=3), replace(ONE, at_once=6))
    assert cost.minutes == 6  # jobs of 36 s
    assert cost.dollars == 6.0
    exact = scaling.simulate(CASES, Work(200, shards=2, systems=3), replace(ONE, rounded=False))
    assert 3 < exact.minutes < 6


def test_jobs_wait_for_a_machine():
    work = Work(200, shards=2, systems=3)
    at_once, in_turn = (scaling.simulate(CASES, work, replace(ONE, at_once=n)) for n in (6, 1))
    assert at_once.makespan == pytest.approx(at_once.longest_job, rel=0.01)
    assert in_turn.makespan > 5 * at_once.makespan


def test_workers_beyond_the_cores_win_nothing():
    two, four = (scaling.simulate(CASES, Work(2_000), replace(ONE, workers=n)).longest_job for n in (2, 4))
    assert four >= two * 0.99


def test_durations_of_a_run_come_back(tmp_path):
    journal = Journal(tmp_path / "run", "main")
    for recipe, total in (("fp32-ios18", 2.0), ("fp16-ios18", 1.0)):
        timing = {"total": total, "run": 0.25}
        journal.append(Record("ops/new", recipe, "reference", Outcome.PASS, Phase.VALUE, timing=timing))
    journal.append(Record("ops/untimed", "fp16-ios18", "reference", Outcome.NOT_RUN, Phase.LOAD))
    journal.close()
    (case,) = scaling.record(tmp_path / "run")
    assert (case.lowering, case.running) == (2.5, 0.5)
    scaling.write_recorded(tmp_path / "rows.txt", [case])
    assert scaling.read_recorded(tmp_path / "rows.txt") == [replace(case, expected=round(case.expected, 2))]


def test_other_files_are_no_durations(tmp_path):
    for text in ("1 2\n", "a b c\n"):
        (tmp_path / "rows.txt").write_text(text)
        with pytest.raises(HarnessError, match="not recorded durations"):
            scaling.read_recorded(tmp_path / "rows.txt")


def test_what_cannot_be_recorded_is_one_line(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert scaling.main(["--record", str(tmp_path / "empty")]) == 2
    assert "no recorded times" in capsys.readouterr().err
