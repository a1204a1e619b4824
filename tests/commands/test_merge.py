"""What `merge` takes, what it refuses, and what it leaves as it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.commands.merge import run
from harness.evidence.files import Evidence, read_evidence, write_evidence
from harness.evidence.journal import Journal, write_environment
from harness.evidence.record import Record
from harness.evidence.vocabulary import HarnessError, Outcome, Phase

HERE = "linux-x86_64-torch2"
CODE = {"torch": "aa", "harness": "bb"}


def block(**fields: Any) -> dict[str, Any]:
    return {"os": "linux 6.1", "versions": {"torch": "2.13.0"}, "code": CODE} | fields


def record(op: str = "a", outcome: str = "pass", unit: str = "reference", environment: str = HERE) -> Record:
    case = f"ops/aten.{op}.default/float32/opinfo-0"
    return Record(case, "fp16-ios18", unit, Outcome(outcome), Phase.VALUE, environment=environment)


@pytest.fixture
def part(tmp_path: Path) -> Callable[..., Path]:
    """A run directory, named."""

    def write(name: str, *records: Record, **fields: Any) -> Path:
        for one in records or (record(),):
            write_environment(tmp_path / name, one.environment, block(**fields))
        journal = Journal(tmp_path / name, "main")
        for one in records:
            journal.append(one)
        journal.close()
        return tmp_path / name

    return write


@pytest.fixture
def merge(tmp_path: Path) -> Callable[..., str]:
    def merged(*runs: Path, output: Path | None = None, **options: bool) -> str:
        return run(runs, output, tmp_path / "evidence", tmp_path / "known_issues", **options)

    return merged


def written(tmp_path: Path, end: str = "") -> dict[str, str]:
    records = read_evidence(tmp_path / "evidence" / f"{HERE}{end}.jsonl").records
    return {one.case.split(".")[1]: str(one.outcome) for one in records}


def test_shards_of_the_same_code_are_merged(part, merge, tmp_path: Path) -> None:
    said = merge(part("one", record("a")), part("two", record("b", "crash")))
    assert said == f"wrote {tmp_path}/evidence/{HERE}.jsonl: 2 checks: 1 pass, 1 crash"
    assert written(tmp_path) == {"a": "pass", "b": "crash"}


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"code": CODE | {"harness": "cc"}}, "harness bb and cc"),
        ({"code": None}, "which one of them does not state"),
        ({"versions": {"torch": "2.13.1"}}, "torch 2.13.0 and 2.13.1"),
    ],
)
def test_parts_of_other_code_are_refused_until_told(part, merge, tmp_path: Path, fields, says: str) -> None:
    runs = part("one", record("a")), part("two", record("b"), **fields)
    with pytest.raises(HarnessError, match=f"{HERE}: measured with other code, {says}: .*--mixed-code"):
        merge(*runs)
    assert not (tmp_path / "evidence").exists()
    merge(*runs, mixed_code=True)
    assert len(written(tmp_path)) == 2


def test_what_cannot_be_trusted_is_refused(part, merge, tmp_path: Path) -> None:
    twice = tmp_path / "twice.jsonl"
    write_evidence(twice, Evidence({HERE: block()}, [record(), record(outcome="crash")]))
    mac = record(environment="macos15-arm64")
    for runs, says in (
        ([twice], "two records of ops/aten.a"),
        ([part("hardware", record(unit="cpu_only"))], "answers for Core ML, which linux 6.1 has not"),
        ([part("real", record()), part("played", mac, simulated=True)], "beside the simulated macos15-arm64"),
    ):
        with pytest.raises(HarnessError, match=says):
            merge(*runs)
    assert not (tmp_path / "evidence").exists()


def test_a_part_never_replaces_what_holds_more_until_told(part, merge, tmp_path: Path) -> None:
    merge(part("whole", record("a"), record("b"), record("c", "not_run")))
    some = part("some", record("b", "crash"), record("new"))
    said = merge(some)
    assert "holds 1 judged checks that these runs do not, and stays: --replace to replace it" in said
    assert written(tmp_path) == {"a": "pass", "b": "pass", "c": "not_run"}
    assert written(tmp_path, ".part") == {"b": "crash", "new": "pass"}
    merge(some, replace=True)
    assert written(tmp_path) == {"b": "crash", "new": "pass"}
    assert not (tmp_path / "evidence" / f"{HERE}.part.jsonl").exists()


def test_what_no_longer_judges_a_check_is_a_part_too(part, merge, tmp_path: Path) -> None:
    merge(part("whole", record("a"), record("b")))
    merge(part("nothing", record("a", "not_run"), record("b", "not_run")))
    assert written(tmp_path) == {"a": "pass", "b": "pass"}


def test_a_run_that_holds_as_much_replaces(part, merge, tmp_path: Path) -> None:
    merge(part("whole", record("a"), record("c", "not_run")))
    merge(part("again", record("a", "crash"), record("b")))
    assert written(tmp_path) == {"a": "crash", "b": "pass"}


def test_parts_of_the_same_code_add_up(part, merge, tmp_path: Path) -> None:
    merge(part("whole", record("a"), record("b"), record("c")))
    merge(part("one", record("a", "crash")))
    merge(part("two", record("b", "crash")))
    assert written(tmp_path, ".part") == {"a": "crash", "b": "crash"}
    merge(part("three", record("c", "crash"), code=CODE | {"harness": "cc"}))
    assert written(tmp_path, ".part") == {"c": "crash"}


def test_a_file_that_is_named_is_kept_as_well(part, merge, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    merge(part("whole", record("a"), record("b")), output=out)
    before = out.read_bytes()
    some = part("some", record("a"))
    with pytest.raises(HarnessError, match=r"out\.jsonl: holds 1 judged checks that these runs do not: --replace"):
        merge(some, output=out)
    assert out.read_bytes() == before
    merge(some, output=out, replace=True)
    assert len(read_evidence(out).records) == 1


def test_each_environment_has_a_file_of_its_own(part, merge, tmp_path: Path) -> None:
    said = merge(part("one", record("a")), part("two", record("a", environment="linux-arm64")))
    assert said.count("wrote ") == 2
    assert sorted(path.name for path in (tmp_path / "evidence").iterdir()) == ["linux-arm64.jsonl", f"{HERE}.jsonl"]
