import json
import os
import stat

import pytest

from harness.evidence.files import (
    Evidence,
    is_simulated,
    merge_evidence,
    read_evidence,
    write_evidence,
    write_text_atomically,
)
from harness.evidence.record import ErrorInfo
from harness.evidence.vocabulary import HarnessError, Outcome

BLOCKS = {"here": {"os": "linux 6.1", "date": "2026-01-02"}}


@pytest.fixture
def written(tmp_path, record):
    path = tmp_path / "evidence" / "here.jsonl"
    records = [record(case=f"ops/aten.neg.default/float32/opinfo-{n}", timing={"run": 0.5}) for n in (10, 9, 1)]
    write_evidence(path, Evidence(BLOCKS, records))
    return path


def test_evidence_comes_back_sorted_and_without_timing(written):
    evidence = read_evidence(written)
    assert evidence.environments == BLOCKS
    assert [r.case.rsplit("-")[-1] for r in evidence.records] == ["1", "9", "10"]
    assert all(r.timing == {} for r in evidence.records)
    assert evidence.path == written


def test_timing_is_kept_when_asked_for(written):
    source = read_evidence(written)
    write_evidence(written, Evidence(BLOCKS, [r.with_(timing={"run": 0.25}) for r in source.records]), with_timing=True)
    assert read_evidence(written).records[0].timing == {"run": 0.25}


def test_the_same_records_give_the_same_bytes(written):
    before = written.read_bytes()
    evidence = read_evidence(written)
    evidence.records.reverse()
    write_evidence(written, evidence)
    assert written.read_bytes() == before


def test_the_environments_are_in_the_first_line(written):
    assert json.loads(written.read_text().split("\n")[0]) == {"evidence": {"environments": BLOCKS, "records": 3}}


def test_a_message_may_hold_any_line_separator(tmp_path, record):
    """Not all that `str.splitlines` takes for the end of a line is one in a file of JSON lines."""
    strange = record("crash", error=ErrorInfo("E", "a\u2028b\u2029c\x85d\x0b\ne\x1c", "s"))
    write_evidence(tmp_path / "e.jsonl", Evidence(BLOCKS, [strange]))
    assert read_evidence(tmp_path / "e.jsonl").records == [strange]


def test_a_copy_cut_at_any_byte_is_refused(written):
    """In the middle of a line, in the header, or neatly at the end of a line."""
    whole = written.read_bytes()
    for length in [*range(0, len(whole) - 1, 37), *(i + 1 for i, b in enumerate(whole[:-1]) if b == ord("\n"))]:
        written.write_bytes(whole[:length])
        with pytest.raises(HarnessError, match=str(written)):
            read_evidence(written)


def test_a_cut_at_the_end_of_a_line_names_the_count(written):
    written.write_text("\n".join(written.read_text().split("\n")[:3]) + "\n")
    with pytest.raises(HarnessError, match="truncated, 2 of 3 records"):
        read_evidence(written)


def test_a_missing_last_newline_loses_nothing(written):
    written.write_bytes(written.read_bytes()[:-1])
    assert len(read_evidence(written).records) == 3


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"\n\n", "line 1"),
        (b"Operator,Compute DType\nneg,fp16\n", "line 1 is not JSON"),
        (b'{"name": "something else"}\n', "no header"),
        (b"[1, 2]\n", "no header"),
        (b'{"evidence": 3}\n', "no header"),
        (b"\x89PNG\r\n\x1a\n", "not text"),
        (b'{"evidence": {"environments": {}, "records": 1}}\n{"a": 1}\n', "line 2"),
        (b'{"evidence": {"environments": {}, "records": 1}}\n3\n', "line 2"),
        (b'{"evidence": {"environments": [1], "records": 0}}\n', "header"),
    ],
)
def test_a_foreign_file_is_refused_in_one_line(tmp_path, content, says):
    path = tmp_path / "foreign.jsonl"
    path.write_bytes(content)
    with pytest.raises(HarnessError, match=says) as caught:
        read_evidence(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_directory_are_named(tmp_path):
    with pytest.raises(HarnessError, match=r"nowhere\.jsonl: no such file"):
        read_evidence(tmp_path / "nowhere.jsonl")
    with pytest.raises(HarnessError, match="is a directory"):
        read_evidence(tmp_path)


def test_what_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(HarnessError, match=r"e\.jsonl: cannot write: .*file is not a directory"):
        write_evidence(tmp_path / "file" / "e.jsonl", Evidence())


def test_a_failed_write_leaves_the_old_file_and_nothing_else(written, monkeypatch):
    before = written.read_bytes()

    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", full)
    with pytest.raises(HarnessError, match="No space left"):
        write_text_atomically(written, "half")
    assert written.read_bytes() == before
    assert [p.name for p in written.parent.iterdir()] == [written.name]


def test_a_reader_never_sees_half_a_file(tmp_path):
    """The old file is replaced, not rewritten: who has it open reads on in it."""
    path = tmp_path / "page.md"
    write_text_atomically(path, "old")
    with open(path) as reader:
        write_text_atomically(path, "new")
        assert reader.read() == "old"
    assert path.read_text() == "new"
    assert stat.S_IMODE(os.stat(path).st_mode) & stat.S_IRUSR


def test_merging_takes_the_union_and_the_later_of_two(record):
    first = Evidence(BLOCKS, [record("pass"), record("pass", unit="cpu_only")])
    other = Evidence({"there": {}}, [record("crash"), record("timeout", environment="there")])
    merged = merge_evidence([first, other])
    assert merged.environments == {**BLOCKS, "there": {}}
    assert {(r.unit, r.environment, str(r.outcome)) for r in merged.records} == {
        ("cpu_only", "here", "pass"),
        ("reference", "here", "crash"),
        ("reference", "there", "timeout"),
    }


def test_merging_shards_in_any_order_gives_the_same(record):
    shards = [Evidence(BLOCKS, [record(case=f"ops/a/f/opinfo-{n}") for n in range(k, 7, 3)]) for k in range(3)]
    assert merge_evidence(shards).records == merge_evidence(reversed(shards)).records


def test_by_check_finds_a_record_by_its_id(record):
    one = record()
    assert Evidence(BLOCKS, [one]).by_check() == {one.check_id: one}


@pytest.mark.parametrize(("block", "simulated"), [(None, False), ({}, False), ({"simulated": True}, True)])
def test_a_simulated_host_is_known_by_its_block(block, simulated):
    assert is_simulated(block) is simulated


def test_recipes_that_found_the_same_share_a_line(tmp_path, record):
    path = tmp_path / "e.jsonl"
    recipes = ("fp16-ios15", "fp16-ios16", "fp16-ios17", "fp16-ios18")
    records = [record(recipe=name) for name in recipes]
    records[2] = records[2].with_(outcome=Outcome.WRONG_VALUE)
    write_evidence(path, Evidence(BLOCKS, records))
    lines = [json.loads(line) for line in path.read_text().splitlines()[1:]]
    assert [line["recipe"] for line in lines] == [["fp16-ios15", "fp16-ios16", "fp16-ios18"], "fp16-ios17"]
    assert read_evidence(path).records == records
    before = path.read_bytes()
    write_evidence(path, read_evidence(path))
    assert path.read_bytes() == before


def test_a_shared_line_counts_as_its_records(tmp_path, record):
    path = tmp_path / "e.jsonl"
    write_evidence(path, Evidence(BLOCKS, [record(recipe="fp16-ios15"), record(recipe="fp16-ios16")]))
    head, line = path.read_text().splitlines()
    path.write_text(f"{head}\n{line.replace('fp16-ios15', 'fp16-ios15' + chr(34) + ',' + chr(34) + 'fp16-ios17')}\n")
    with pytest.raises(HarnessError, match="3 of 2 records"):
        read_evidence(path)
