import os
from pathlib import Path

import pytest

from harness.evidence.durations import (
    TABLE_FILE,
    Durations,
    by_operators,
    case_seconds,
    deal,
    read_table,
    updated,
    write_table,
)
from harness.evidence.files import Evidence, write_evidence
from harness.evidence.journal import Journal
from harness.evidence.vocabulary import HarnessError

SUITES = Path(__file__).resolve().parents[2] / "suites"


def test_a_case_takes_what_its_checks_take_together(record):
    records = [
        record(case="ops/a", recipe="fp32-ios18", timing={"total": 3.0, "lower": 2.0, "run": 0.5}),
        record(case="ops/a", recipe="fp16-ios18", timing={"total": 1.5, "lower": 1.0, "run": 0.5}),
        record("timeout", case="ops/b", timing={"total": 120.0}),
        record(case="ops/c"),
    ]
    assert case_seconds(records) == {"ops/a": 4.5, "ops/b": 120.0}


def test_a_lowering_from_the_cache_counts_as_what_it_took_and_once_for_all_units(record):
    parts = {"export": 1.0, "lower": 4.0, "emit": 1.0}
    records = [
        record(case="ops/a", unit=unit, timing={**parts, "run": 0.5, "total": 0.6}) for unit in ("reference", "all")
    ]
    assert case_seconds(records) == {"ops/a": 7.0}


def test_more_operators_take_longer_and_fallback_counts(record):
    records = [
        record(case="ops/few", delegated={"aten.a.default": 2}, fallback={}),
        record(case="ops/many", recipe="fp32-ios18", delegated={"aten.a.default": 2}, fallback={"aten.b.default": 30}),
        record(case="ops/many", recipe="fp16-ios18", delegated={}, fallback={}),
    ]
    seconds = by_operators(records)
    assert seconds["ops/many"] > 4 * seconds["ops/few"] > 0


# The committed table.


def test_a_table_comes_back_and_says_what_it_is(tmp_path):
    table = {"ops/b/with a space": 2.0, "models/a": 16.0}
    write_table(tmp_path / TABLE_FILE, table)
    assert read_table(tmp_path / TABLE_FILE) == table
    lines = (tmp_path / TABLE_FILE).read_text().splitlines()
    assert lines[0].startswith("# Seconds")
    assert lines[2:] == ["16 models/a", "2 ops/b/with a space"]
    assert read_table(tmp_path / "none.txt") == {}


@pytest.mark.parametrize("line", ["ops/a", "1.5 ops/a", "-1 ops/a", "0 ops/a", "2", "² ops/a"])
def test_a_damaged_table_is_told_with_its_line(tmp_path, line):
    path = tmp_path / TABLE_FILE
    path.write_text(f"# head\n1 ops/b\n{line}\n")
    with pytest.raises(HarnessError, match="line 3: expected seconds and a case id"):
        read_table(path)


@pytest.mark.parametrize(
    ("before", "seconds", "after"),
    [
        (None, 0.9, None),
        (None, 1.1, 1.0),
        (None, 13.0, 16.0),
        (8.0, 4.1, 8.0),  # within a factor of two nothing changes
        (8.0, 15.9, 8.0),
        (8.0, 17.0, 16.0),
        (8.0, 0.7, 1.0),
        (1.0, 0.6, 1.0),
        (1.0, 0.4, None),
        (2.0, None, 2.0),  # not measured by this run
    ],
)
def test_a_table_changes_only_where_it_is_wrong(before, seconds, after):
    table = {} if before is None else {"a": before}
    measured = {} if seconds is None else {"a": seconds}
    assert updated(table, measured, {"a"}).get("a") == after


def test_cases_there_are_no_more_leave_the_table():
    assert updated({"gone": 8.0, "kept": 8.0}, {"gone": 8.0, "user": 9.0}, {"kept"}) == {"kept": 8.0}


def test_the_committed_table_is_what_the_command_writes(tmp_path):
    table = read_table(SUITES / TABLE_FILE)
    write_table(tmp_path / TABLE_FILE, table)
    assert (tmp_path / TABLE_FILE).read_text() == (SUITES / TABLE_FILE).read_text()
    assert 20 < len(table) < 500


# Where a time comes from.


@pytest.fixture
def project(tmp_path, record):
    """Table, evidence and two runs; the last is of one case."""
    (tmp_path / "suites").mkdir()
    write_table(tmp_path / "suites" / TABLE_FILE, {"ops/listed": 16.0, "ops/again": 16.0})
    counted = [
        record(case=case, delegated={"aten.a.default": 10}) for case in ("ops/listed", "ops/counted", "ops/again")
    ]
    write_evidence(tmp_path / "evidence" / "here.jsonl", Evidence({"here": {}}, counted))
    for number, (name, case) in enumerate([("old", "ops/listed"), ("last", "ops/again")]):
        journal = Journal(tmp_path / "runs" / name, "main")
        journal.append(record(case=case, timing={"total": 3.0}))
        journal.close()
        os.utime(next((tmp_path / "runs" / name).glob("journal-*")), (number, number))
    return tmp_path


def read(project, but=None):
    return Durations.read(project / "suites", project / "evidence", project / "runs", but)


def test_the_last_run_before_the_table_before_the_operators(project):
    durations = read(project)
    assert durations.here("ops/again") == 3.0
    assert durations.here("ops/listed") == 16.0
    assert durations.here("ops/new") < durations.here("ops/counted") < 1.0
    # A whole model nobody knows goes before operators.
    assert durations.here("ops/new", whole_model=True) > durations.here("ops/again")


def test_shards_rest_on_what_is_committed(project):
    durations = read(project)
    assert durations.everywhere("ops/again") == 16.0
    assert durations.everywhere("ops/counted") == durations.here("ops/counted")


def test_a_resumed_run_is_not_the_last_one(project):
    durations = read(project, but=project / "runs" / "last")
    assert (durations.here("ops/again"), durations.here("ops/listed")) == (16.0, 3.0)


def test_unreadable_runs_and_evidence_are_left_out_and_a_damaged_table_is_told(project):
    for path in (*project.glob("runs/*/journal-*"), project / "evidence" / "here.jsonl"):
        path.write_text("damaged\n\n")
    durations = read(project)
    assert durations.here("ops/again") == 16.0
    assert durations.here("ops/counted") == durations.here("ops/new")
    (project / "suites" / TABLE_FILE).write_text("x")
    with pytest.raises(HarnessError):
        read(project)


# Dealing into shards.


def test_equal_cases_are_dealt_in_turn():
    assert deal([0.2] * 7, [0.0] * 3) == [0, 1, 2, 0, 1, 2, 0]


def test_long_cases_are_spread_and_parts_even():
    seconds = [0.2] * 50 + [16.0, 8.0, 8.0, 0.5]
    loads = [0.0] * 2
    parts = deal(seconds, loads)
    assert max(loads) - min(loads) <= 0.2
    assert loads[0] == pytest.approx(sum(s for s, part in zip(seconds, parts, strict=True) if part == 0))


def test_what_is_dealt_later_fills_up():
    loads = [0.0] * 2
    assert deal([9.0], loads) == [0]
    assert deal([1.0] * 5, loads) == [1] * 5
