"""The order of a run and its shards, on small suites whose checks a fake handler answers."""

import os
import textwrap
from pathlib import Path

import pytest

from harness.cases.case import at_level
from harness.cases.find import all_cases
from harness.evidence.durations import TABLE_FILE, Durations, deal, write_table
from harness.evidence.files import Evidence, write_evidence
from harness.evidence.journal import Journal, read_run
from harness.evidence.record import Record
from harness.evidence.vocabulary import Level, Outcome, Phase

pytest_plugins = ["pytester"]

TESTS = Path(__file__).resolve().parents[1]
ROOT = TESTS.parent

CONFTEST = """
    import functools
    import cases_of
    import harness.cases.find
    from harness.process.isolation import IsolatedChecker
    import harness.plugin.run as plugin

    plugin.IsolatedChecker = functools.partial(IsolatedChecker, handler="fake_handler:make_checker")
    harness.cases.find.SUITES.clear()
    harness.cases.find.SUITES["ops"] = lambda _level: cases_of.small() + cases_of.zoo()
"""
CASES = """
    from harness.cases.case import Case
    from harness.evidence.vocabulary import Kind, Level

    def cases(*ops):
        return [
            Case(id=f"ops/aten.{op}.default/pass/fake-{n}", kind=Kind.OPERATOR, op=f"aten.{op}.default", api=op,
                 dtype="pass", origin="fake", level=Level.SMOKE, build=None)
            for op in ops for n in range(4)
        ]

    def small():
        return cases("neg", "abs", "exp")

    def zoo():
        return cases("zoo")
"""
SUITE = """
    from cases_of import {name} as cases

    def test_operator(check):
        check()
"""


class Project:
    """A project with a suite of twelve cases, and one of four on demand."""

    def __init__(self, pytester, monkeypatch):
        self.pytester, self.path = pytester, pytester.path
        self.log = self.path / "log"
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (self.path, TESTS, ROOT))))
        monkeypatch.setenv("FAKE_HANDLER_LOG", str(self.log))
        monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
        monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        self.write(
            "pytest.ini",
            "[pytest]\naddopts = -p xdist -p harness.plugin.conformance --import-mode=importlib -p no:cacheprovider",
        )
        self.write("conftest.py", CONFTEST)
        self.write("cases_of.py", CASES)
        self.write("suites/small/test_small.py", SUITE.format(name="small"))

    def write(self, name, text):
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))

    def run(self, *options):
        return self.pytester.runpytest_subprocess("suites", *options, timeout=120)


@pytest.fixture
def one(pytester, monkeypatch):
    return Project(pytester, monkeypatch)


ALL = [f"ops/aten.{op}.default/pass/fake-{n}" for op in ("neg", "abs", "exp") for n in range(4)]


def case(op, number):
    return f"ops/aten.{op}.default/pass/fake-{number}"


def collected(one, *options):
    result = one.run("--collect-only", "-q", *options)
    return [line.partition("[")[2][:-1] for line in result.outlines if "::test_operator[" in line]


def table(one, **seconds):
    """`exp_2=8` gives a case 8 seconds."""
    entries = {case(*key.split("_")): float(value) for key, value in seconds.items()}
    write_table(one.path / "suites" / TABLE_FILE, entries)


def cases_of(checks):
    return list(dict.fromkeys(check.split("@")[0] for check in checks))


def order(one, *options):
    return cases_of(collected(one, *options))


def test_the_longest_case_comes_first_and_its_checks_stay_together(one):
    table(one, exp_2=8, abs_0=16, neg_3=8)
    checks = collected(one)
    first = [case("abs", 0), case("neg", 3), case("exp", 2)]
    assert cases_of(checks) == [*first, *(c for c in ALL if c not in first)]
    assert [check.split("@")[0] for check in checks] == [c for c in cases_of(checks) for _ in range(2)]


def test_the_order_holds_across_suites(one):
    one.write("suites/zoo/test_zoo.py", SUITE.format(name="zoo"))
    table(one, zoo_1=8)
    assert order(one)[:2] == [case("zoo", 1), case("neg", 0)]


def test_the_last_run_and_operators_order_what_the_table_does_not_list(one):
    table(one, neg_0=2)

    def record(op, number, **fields):
        return Record(case(op, number), "fp16-ios18", "reference", Outcome.PASS, Phase.VALUE, **fields)

    counted = [
        record("exp", 1, delegated={"aten.exp.default": 25}),
        record("exp", 2, delegated={"aten.exp.default": 30}),
    ]
    write_evidence(one.path / "reports" / "evidence" / "here.jsonl", Evidence({"": {}}, counted))
    journal = Journal(one.path / "runs" / "last", "main")
    journal.append(record("abs", 3, timing={"total": 4.0}))
    journal.close()
    assert order(one)[:4] == [case("abs", 3), case("neg", 0), case("exp", 2), case("exp", 1)]
    # Of the last run nothing reaches a shard.
    parts = [order(one, "--shard", f"{part}/2") for part in (1, 2)]
    (one.path / "runs" / "last").rename(one.path / "gone")
    assert [sorted(part) for part in parts] == [sorted(order(one, "--shard", f"{part}/2")) for part in (1, 2)]


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_a_run_goes_in_that_order(one, workers):
    table(one, exp_2=8, abs_0=16, neg_3=8)
    one.run("--measure", "--run-dir", "run", *workers).assert_outcomes(passed=24)
    by_process = {}
    for process, check in map(str.split, one.log.read_text().splitlines()):
        by_process.setdefault(process, []).append(check.split("@")[0])
    cases = {process: list(dict.fromkeys(checks)) for process, checks in by_process.items()}
    assert {began[0] for began in cases.values()} == set(order(one)[: len(cases)])
    # No case is torn apart, none is left out.
    assert sorted(c for began in cases.values() for c in began) == sorted(ALL)


def test_a_resumed_run_goes_on_in_any_order(one):
    one.run("--measure", "--run-dir", "runs/mine", "--op", "aten.exp", "-n", "2").assert_outcomes(passed=8)
    table(one, neg_1=8)
    one.run("--measure", "--run-dir", "runs/mine", "-n", "2").assert_outcomes(passed=24)
    assert len(one.log.read_text().splitlines()) == 24
    assert len(read_run(one.path / "runs" / "mine").records) == 24


def test_workers_agree_though_runs_are_written_meanwhile(one):
    """Planted: each finds another last run; with collections that differ xdist runs nothing."""
    for worker, number in (("gw0", 2), ("gw1", 3)):
        journal = Journal(one.path / "runs" / worker, "main")
        timing = {"total": 9.0}
        journal.append(Record(case("exp", number), "r", "u", Outcome.PASS, Phase.VALUE, timing=timing))
        journal.close()
    one.write("conftest.py", textwrap.dedent(CONFTEST) + textwrap.dedent(OTHER_LAST_RUNS))
    one.run("--measure", "--run-dir", "run", "-n", "2").assert_outcomes(passed=24)


OTHER_LAST_RUNS = """
    import os
    from pathlib import Path
    import harness.evidence.durations

    if worker := os.environ.get("PYTEST_XDIST_WORKER"):
        harness.evidence.durations.latest_run = lambda *_: Path("runs").absolute() / worker
"""


def test_shards_are_even_by_committed_times_and_part_the_cases(one):
    table(one, neg_0=16, neg_1=8, neg_2=8)
    parts = [order(one, "--shard", f"{part}/2") for part in (1, 2)]
    assert sorted(parts[0] + parts[1]) == sorted(order(one))
    alone, others = sorted(parts, key=lambda part: case("neg", 0) not in part)
    assert {case("neg", 1), case("neg", 2)} <= set(others)
    # The rest fills up both.
    assert min(len(alone), len(others)) >= 4


def test_shards_are_even_over_suites_together(one):
    """A suite of one long case would else burden the first shard of each suite alike."""
    one.write("suites/zoo/test_zoo.py", SUITE.format(name="zoo"))
    table(one, neg_0=4, zoo_0=4)
    parts = [order(one, "--shard", f"{part}/2") for part in (1, 2)]
    assert sorted(parts[0] + parts[1]) == sorted(order(one))
    assert [len({case("neg", 0), case("zoo", 0)} & set(part)) for part in parts] == [1, 1]


def test_a_damaged_table_is_one_line_before_anything_runs(one):
    one.write(f"suites/{TABLE_FILE}", "soon ops/a")
    for options in ((), ("-n", "2")):
        result = one.run(*options)
        assert result.ret == 2
        (line,) = result.errlines
        assert f"{TABLE_FILE}: line 1: expected seconds and a case id" in line
    assert not one.log.exists()


def test_shards_of_the_standard_level_are_even():
    durations = Durations.read(ROOT / "suites", ROOT / "reports" / "evidence", ROOT / "none")
    cases = at_level(all_cases(), Level.STANDARD)
    seconds = [durations.everywhere(case.id, whole_model=case.whole_model) for case in cases]
    loads = [0.0] * 8
    deal(seconds, loads)
    assert sum(loads) == pytest.approx(sum(seconds))
    assert max(loads) < 1.01 * sum(loads) / 8
