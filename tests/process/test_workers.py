import os
import time
from pathlib import Path

import pytest

from harness.cases.case import Case
from harness.evidence.check import Check
from harness.evidence.record import Record
from harness.evidence.vocabulary import HarnessError, Kind, Level, Outcome, Phase
from harness.process.isolation import IsolatedChecker, Settings
from harness.process.workers import Share, Workers, asks_for_help

TESTS = Path(__file__).resolve().parents[1]
RECIPES = ("fp32-ios18", "fp16-ios18")


def share(what, number=0, recipes=RECIPES, **fields):
    """The checks of a case to which the fake handler does what its third part says."""
    case = Case(
        id=f"ops/aten.{what}.default/{what}/{number}",
        kind=Kind.OPERATOR,
        op=f"aten.{what}.default",
        api=what,
        dtype=what,
        origin="test",
        level=Level.SMOKE,
        build=None,
    )
    return Share(tuple(Check.of(case, recipe, "reference") for recipe in recipes), **fields)


@pytest.fixture
def team(monkeypatch, tmp_path):
    """`team(count)`; `team.calls()` are the pid and the check of each request, `team.pids` the children that were."""
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    monkeypatch.setenv("FAKE_HANDLER_LOG", str(tmp_path / "log"))
    made = []

    def checker(stop):
        return IsolatedChecker(Settings("here"), "fake_handler:make_checker", stop)

    def start(count):
        made.append(Workers(checker, count))
        start.pids = [pid for one in made[-1]._checkers for pid in one._pool.pids()]
        return made[-1]

    def calls():
        return [tuple(line.split()) for line in (tmp_path / "log").read_text().splitlines()]

    start.calls = calls
    yield start
    for one in made:
        one.close()


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def wait_for(condition):
    until = time.monotonic() + 30
    while not condition() and time.monotonic() < until:
        time.sleep(0.02)
    return condition()


def test_each_check_is_made_once_and_those_of_a_case_by_one_child(team, monkeypatch):
    monkeypatch.setenv("FAKE_HANDLER_NAP", "0.3")
    shares = [share("nap", number) for number in range(4)]
    workers = team(2)
    records = []
    workers.check(shares, records.append)
    expected = {str(check) for one in shares for check in one.checks}
    assert len(records) == len(expected) == len(team.calls())
    assert {record.check_id for record in records} == expected
    by_case = {}
    for pid, check in team.calls():
        by_case.setdefault(check.split("@")[0], set()).add(pid)
    assert all(len(pids) == 1 for pids in by_case.values())
    assert len(set.union(*by_case.values())) == 2
    assert not any(map(alive, team.pids))


def test_one_worker_takes_the_cases_in_order(team):
    shares = [share(what) for what in ("wrong_value", "pass", "partial")]
    records = []
    team(1).check(shares, records.append)
    assert [record.outcome for record in records] == [
        Outcome(name) for name in ("wrong_value", "pass", "partial") for _ in RECIPES
    ]


def test_all_children_get_ready_before_there_is_anything_to_check(team):
    team(3)
    assert len(team.pids) == 3
    assert all(map(alive, team.pids))


def test_their_number_follows_the_cases(team):
    workers = team(3)
    first = team.pids[0]
    workers.resize(1)
    assert [alive(pid) for pid in team.pids] == [True, False, False]
    workers.resize(2)
    pids = [pid for one in workers._checkers for pid in one._pool.pids()]
    assert pids[0] == first
    assert len(pids) == 2
    workers.close()
    assert not any(map(alive, pids))


def test_a_death_costs_one_check_of_one_worker(team):
    records = []
    team(2).check([share("abort"), share("pass", 1), share("pass", 2)], records.append)
    assert sorted(str(record.outcome) for record in records) == ["crash"] * 2 + ["pass"] * 4


def test_a_refusal_in_one_ends_all_at_once_and_what_was_found_is_heard(team):
    workers = team(2)
    records = []
    quick = share("pass", recipes=("fp32-ios18",))
    with pytest.raises(HarnessError, match="no such thing: tea"):
        workers.check([share("hang"), quick, share("refuse"), share("pass", 9)], records.append)
    assert [record.case for record in records] == [quick.checks[0].case.id]  # and no time-out of the one that hangs
    assert wait_for(lambda: not any(map(alive, team.pids)))


@pytest.mark.parametrize("error", [KeyboardInterrupt, BrokenPipeError])
def test_what_happens_to_the_listener_ends_all_children(team, error):
    heard = []

    def listen(record):
        heard.append(record)
        if len(heard) == 1:
            raise error

    with pytest.raises(error):
        team(2).check([share("pass"), share("hang"), share("hang", 1)], listen)
    assert wait_for(lambda: not any(map(alive, team.pids)))


def test_stopping_starts_no_child_in_the_place_of_another(team, monkeypatch):
    """The one that is stopped in its first check has had no other beside it."""
    workers = team(2)
    pools = [checker._pool for checker in workers._checkers]
    with pytest.raises(HarnessError):
        workers.check([share("hang"), share("refuse")], lambda _record: None)
    assert [pool.started for pool in pools] == [1, 1]
    assert [pool.pids() for pool in pools] == [[], []]


def test_a_way_around_is_looked_for_where_a_check_fails(team):
    records, unfinished = [], []
    shares = [share("wrong_value", tries=7), share("pass", tries=7)]
    team(1).check(shares, records.append, on_unfinished=unfinished.append)
    assert [record.outcome for record in unfinished] == [Outcome.WRONG_VALUE] * len(RECIPES)
    assert not any(record.remedy for record in unfinished)
    wrong, right = records[: len(RECIPES)], records[len(RECIPES) :]
    assert all(record.remedy.skip == ("aten.wrong_value.default",) for record in wrong)
    assert all(record.remedy.tries == 7 for record in wrong)
    assert not any(record.remedy for record in right)


def test_records_there_are_already_are_not_measured_again(team):
    (known,) = checked(team, share("wrong_value", recipes=RECIPES[:1]))
    before = len(team.calls())
    (found,) = checked(team, share("wrong_value", recipes=RECIPES[:1], tries=2, records=(known,)))
    assert found.remedy is not None
    assert found.with_(remedy=None) == known
    assert len(team.calls()) == before + 1  # the search alone


def checked(team, *shares):
    records = []
    team(1).check(shares, records.append)
    return records


def test_a_search_that_its_process_does_not_survive_keeps_the_record(team):
    (record,) = checked(team, share("wrong_value", "dies", RECIPES[:1], tries=2))
    assert record.outcome is Outcome.WRONG_VALUE
    assert record.remedy.outcome is None
    assert "SIGABRT" in record.remedy.reason


@pytest.mark.parametrize(
    ("outcome", "missing", "asks"),
    [
        (Outcome.PASS, [], False),
        (Outcome.PARTIAL, ["aten::i0.out"], True),
        (Outcome.CONVERT_ERROR, [], True),
        (Outcome.WRONG_VALUE, [], True),
        (Outcome.UNSUPPORTED, [], True),
        (Outcome.LOAD_ERROR, [], True),
        (Outcome.NOT_RUN, [], False),
        (Outcome.INVALID_CASE, [], False),
        (Outcome.TIMEOUT, [], False),
    ],
)
def test_what_asks_for_help(outcome, missing, asks):
    record = Record("a/b", "fp32-ios18", "reference", outcome, Phase.VALUE, missing_kernels=missing)
    assert asks_for_help(record) is asks
