import pytest

from harness.evidence.vocabulary import HarnessError, Outcome
from harness.publish.dashboard_compare import Move, compare_runs

LATER = {"versions": {"executorch": "1.6.0"}, "os": "linux 6.9", "machine": "x86_64"}


def moves(comparison):
    return {(one.record.op, one.record.environment): one.move for one in comparison.moved}


def test_each_way_a_check_can_move(record, evidence, environments):
    def one(letter, *args, **kwargs):
        return record(f"aten.{letter}.default", *args, **kwargs)

    before = evidence(
        one("a"),
        one("b", "wrong_value"),
        one("c", "convert_error", signature="cannot x"),
        one("d", headroom=4.0),
        one("e", headroom=2.0),
        one("f"),
        one("h", "not_run"),
        one("i", headroom=2.0),
        one("j"),
        one("k", "not_run"),
    )
    after = evidence(
        one("a", "wrong_value"),
        one("b"),
        one("c", "convert_error", signature="cannot y"),
        one("d", headroom=2.0),
        one("e", headroom=4.0),
        one("g"),
        one("h"),
        one("i", headroom=2.001),
        one("j", "not_run"),
        one("k", "not_run"),
    )
    result = compare_runs(before, after)
    linux = environments["linux"]
    assert moves(result) == {
        ("aten.a.default", linux): Move.WORSE,
        ("aten.b.default", linux): Move.BETTER,
        ("aten.c.default", linux): Move.OTHERWISE,
        ("aten.d.default", linux): Move.NEARER,
        ("aten.e.default", linux): Move.FARTHER,
        ("aten.f.default", linux): Move.LOST,
        ("aten.g.default", linux): Move.NEW,
        ("aten.h.default", linux): Move.NEW,
        ("aten.j.default", linux): Move.LOST,
    }
    assert result.same == 2
    assert [one.move for one in result.moved] == sorted((one.move for one in result.moved), key=list(Move).index)


def test_the_same_run_twice_says_nothing(records, evidence):
    result = compare_runs(evidence(*records), evidence(*records))
    assert not result.moved
    assert result.same == len(records)


def test_two_environments_never_hide_each_other(record, evidence, environments):
    linux, mac = environments["linux"], environments["mac"]
    before = evidence(record(environment=linux), record(environment=mac))
    after = evidence(record(outcome="wrong_value", environment=linux), record(environment=mac))
    result = compare_runs(before, after)
    assert moves(result) == {("aten.gelu.default", linux): Move.WORSE}
    assert result.same == 1


def test_other_versions_of_the_same_system_are_held_side_by_side(record, evidence, environments):
    before, after = evidence(record()), evidence()
    after.environments["later"] = LATER
    after.records = [record(outcome=Outcome.WRONG_VALUE, environment="later")]
    result = compare_runs(before, after)
    assert result.pairs == [(environments["linux"], "later")]
    assert moves(result) == {("aten.gelu.default", "later"): Move.WORSE}


def test_runs_that_share_nothing_are_refused(record, evidence, environments):
    with pytest.raises(HarnessError, match="share no check"):
        compare_runs(evidence(record()), evidence(record(environment=environments["mac"])))
    with pytest.raises(HarnessError, match="share no check"):
        compare_runs(evidence(record("aten.a.default")), evidence(record("aten.b.default")))
