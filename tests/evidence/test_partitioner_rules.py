import pytest

from harness.evidence import partitioner_rules
from harness.evidence.partitioner_rules import PartitionerRule, read_rules, rules_path, to_text
from harness.evidence.vocabulary import HarnessError

ROW = PartitionerRule(
    "rejects-add", "rejects", "aten.add.Tensor", "rejected", 7, ("torch.add(x, y)",), "https://x", "speed"
)


@pytest.fixture
def table(monkeypatch, tmp_path):
    monkeypatch.setattr(partitioner_rules, "rules_path", lambda version: tmp_path / f"{version}.jsonl")
    return tmp_path / "1.0.jsonl"


def test_a_table_is_read_back_as_it_was_written(table):
    table.write_text(to_text([ROW, ROW]))
    assert read_rules("1.0") == [ROW, ROW]


def test_a_version_without_a_table_has_no_rules(table):
    assert read_rules("1.0") == []


@pytest.mark.parametrize("text", ["{", "[]\n", '{"name": "a"}\n', '{"programs": [], "unknown": 1}\n'])
def test_what_is_no_table_is_named(table, text):
    table.write_text(text)
    with pytest.raises(HarnessError, match=r"1\.0\.jsonl: no table of rules"):
        read_rules("1.0")


def test_a_local_part_of_the_version_makes_no_difference():
    assert rules_path("1.5.1+cpu") == rules_path("1.5.1")
