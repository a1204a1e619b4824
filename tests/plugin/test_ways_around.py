"""`--ways-around`: one check of each failing cause and operator, its record appended to the run's journal."""

import pytest

from harness.evidence.check import Check
from harness.evidence.journal import Journal, read_run
from harness.evidence.record import Record
from harness.evidence.remedy import Remedy
from harness.evidence.vocabulary import Kind, Outcome, Phase
from harness.plugin import ways_around
from harness.plugin.ways_around import representatives


def record(case, cause="a-cause", op="aten.add.Tensor", recipe="fp32-ios18", outcome=Outcome.WRONG_VALUE, **fields):
    return Record(case, recipe, "reference", outcome, Phase.VALUE, op=op, cause=cause, **fields)


def test_one_of_each_cause_and_operator():
    records = [
        record("b"),
        record("a"),
        record("c", op="aten.mul.Tensor"),
        record("d", cause="another"),
        record("e", cause=None),
        record("f", outcome=Outcome.PASS, cause="works"),
        record("g", outcome=Outcome.PARTIAL, cause="rejected", missing_kernels=["aten::x.out"]),
    ]
    assert [one.case for one in representatives(records)] == ["a", "c", "d", "g"]


def test_float32_goes_before_float16():
    records = [
        record("a", recipe="fp16-ios18"),
        record("b", recipe="fp32-ios18"),
        record("c", "narrow", recipe="fp16-ios18"),
    ]
    assert [one.case for one in representatives(records)] == ["b", "c"]


def test_what_has_a_remedy_is_done():
    records = [record("a"), record("b", remedy=Remedy(outcome=Outcome.PASS)), record("c", "open")]
    assert [one.case for one in representatives(records)] == ["c"]


def test_of_a_cause_some_operators_and_all_models():
    records = [record(f"{n}", op=f"aten.op{n}.default") for n in range(4)]
    records += [record(f"m{n}", op=f"model.m{n}", kind=Kind.MODEL) for n in range(2)]
    assert [one.case for one in representatives(records, 2)] == ["0", "1", "m0", "m1"]
    tried = [one.with_(remedy=Remedy(outcome=Outcome.PASS)) for one in records[:1]] + records[1:]
    assert [one.case for one in representatives(tried, 2)] == ["1", "m0", "m1"], "one that was tried counts"
    assert len(representatives(records)) == 6


@pytest.fixture
def run(tmp_path):
    """A run directory with records of two checks that exist, of one cause each."""
    journal = Journal(tmp_path, "main")
    for name in ("aten.gelu.default/float32/approximate=tanh", "aten.reciprocal.default/float32/call"):
        op = name.partition("/")[0]
        journal.append(record(f"ops/{name}", op, op))
    journal.close()
    return tmp_path


class Team:
    """Answers for the workers: of the second operator nothing helps."""

    def __init__(self, make, count):
        self.count = count

    def check(self, shares, on_record):
        for share in shares:
            assert isinstance(share.checks[0], Check)
            helps = "gelu" in share.checks[0].case.id
            found = Remedy(outcome=Outcome.PARTIAL) if helps else Remedy(reason="nothing helps")
            on_record(share.records[0].with_(remedy=found))

    def close(self):
        pass


def test_the_records_go_to_the_journal_with_what_helps(run, monkeypatch):
    monkeypatch.setattr(ways_around, "Workers", Team)
    said = []
    ways_around.look(run, None, 2, said.append)
    found = {r.op: r.remedy for r in read_run(run).records.values()}
    assert found["aten.gelu.default"].is_verified
    assert found["aten.reciprocal.default"].reason == "nothing helps"
    assert said == [
        "ways around: looking for those of 2 causes and operators",
        "ways around: 2 of 2 tried, 1 found",
    ]
    said.clear()
    ways_around.look(run, None, 2, said.append)  # a run that goes on has nothing left to do
    assert said == []


def test_models_come_first_since_they_take_longest(run, monkeypatch):
    asked = []

    class Noting(Team):
        def check(self, shares, on_record):
            asked.extend((share.records[0].kind, share.tries) for share in shares)
            super().check(shares, on_record)

    journal = Journal(run, "models")
    journal.append(record("models/bert/float32/seed-0", op="model.bert", kind=Kind.MODEL))
    journal.close()
    monkeypatch.setattr(ways_around, "Workers", Noting)
    ways_around.look(run, None, 2, [].append)
    kinds = [kind for kind, _ in asked]
    assert kinds == [Kind.MODEL, *[kind for kind in kinds if kind is not Kind.MODEL]]
    assert len(kinds) == 3
    assert asked[0][1] == ways_around.TRIES_OF_A_MODEL < asked[1][1] == ways_around.TRIES
