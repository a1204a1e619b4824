import pytest

from harness.evidence import partitioner_rules
from harness.evidence.partitioner_rules import PartitionerRule, Trial, is_switched_off, read_rules, to_text
from harness.evidence.record import Record
from harness.evidence.vocabulary import HarnessError, Kind, Outcome, Phase

ROW = PartitionerRule(
    "rejects-add", "rejects", "aten.add.Tensor", "rejected", 7, ("torch.add(x, y)",), "https://x", "speed"
)


@pytest.fixture
def table(monkeypatch, tmp_path):
    path = tmp_path / "rules.jsonl"
    monkeypatch.setattr(partitioner_rules, "PATH", path)
    return path


def test_a_table_is_read_back_as_it_was_written(table):
    table.write_text(to_text([ROW, ROW], "1.0"))
    assert read_rules("1.0") == read_rules("1.0+cpu") == [ROW, ROW]
    assert read_rules("1.1") == []


def test_a_version_without_a_table_has_no_rules(table):
    assert read_rules("1.0") == []


@pytest.mark.parametrize("line", ["{", "[]", '{"name": "a"}', '{"programs": [], "unknown": 1}'])
def test_what_is_no_table_is_named(table, line):
    table.write_text(f"{to_text([], '1.0')}{line}\n")
    with pytest.raises(HarnessError, match=r"rules\.jsonl: no table of rules"):
        read_rules("1.0")


def test_a_table_that_does_not_say_its_version_is_none(table):
    table.write_text("{}\n")
    with pytest.raises(HarnessError, match="its first line has no versions"):
        read_rules("1.0")


def trial(case, kind=Kind.PARTITIONER):
    return Record(case, "fp16-ios18", "reference", Outcome.PASS, Phase.VALUE, kind)


@pytest.mark.parametrize("one", [Trial("rejects-add-Tensor", True, "0"), Trial("option", False, "3f9a2c")])
def test_a_trial_is_read_back_from_the_case_it_names(one):
    assert Trial.of(trial(f"partitioner/aten.add.Tensor/float32/{one}")) == one


@pytest.mark.parametrize("case", ["partitioner/a", "partitioner/a/b-on-", "partitioner/a/b-in-0"])
def test_what_names_no_trial_is_refused(case):
    with pytest.raises(HarnessError, match=f"{case}: no trial"):
        Trial.of(trial(case))


def test_only_a_trial_switches_a_rule_off():
    assert is_switched_off(trial("partitioner/a/float32/rejects-a-off-0"))
    assert not is_switched_off(trial("partitioner/a/float32/rejects-a-on-0"))
    assert not is_switched_off(trial("ops/a/float32/rejects-a-off-0", Kind.OPERATOR))
