import json
import os
import signal
import subprocess
import sys
import textwrap

import pytest

from harness.evidence.files import Evidence, write_evidence
from harness.evidence.journal import (
    InFlight,
    Journal,
    check_writable,
    hold_to_code,
    latest_run,
    read_run,
    read_run_or_file,
    write_environment,
)
from harness.evidence.record import Record
from harness.evidence.remedy import Remedy
from harness.evidence.vocabulary import HarnessError, Kind, Outcome, Phase

CASE = "ops/aten.neg.default/float32/opinfo-"


def journal_file(run_dir):
    (path,) = run_dir.glob("journal-*.jsonl")
    return path


def test_a_record_is_on_disk_when_append_returns(tmp_path, record):
    journal = Journal(tmp_path, "main")
    journal.append(record())
    assert read_run(tmp_path).records == {record().check_id: record()}
    journal.append(record("crash", unit="all"))
    assert len(read_run(tmp_path).records) == 2
    journal.close()


def test_a_check_is_in_flight_from_its_beginning_to_its_record(tmp_path, record, check):
    journal = Journal(tmp_path, "main")
    one = record()
    journal.begin(check(call="neg(float32[3])"), 1)
    begun = Record.of(check(call="neg(float32[3])"), Outcome.NOT_RUN, Phase.EAGER)
    assert read_run(tmp_path).in_flight == {one.check_id: InFlight(begun, Phase.EAGER, 1)}
    assert begun.call == "neg(float32[3])"
    journal.phase(Phase.CONVERT)
    assert read_run(tmp_path).in_flight[one.check_id].phase is Phase.CONVERT
    journal.phase(Phase.RUN)
    assert read_run(tmp_path).in_flight[one.check_id].phase is Phase.RUN
    journal.append(one)
    assert read_run(tmp_path).in_flight == {}
    journal.close()


def test_a_record_and_a_stale_in_flight_entry_leave_the_record(tmp_path, record, check):
    """Killed between the two writes of `append`."""
    journal = Journal(tmp_path, "main")
    journal.begin(check(), 1)
    left = next(tmp_path.glob("inflight-*")).read_bytes()
    journal.append(record())
    journal.close()
    next(tmp_path.glob("inflight-*")).write_bytes(left)
    state = read_run(tmp_path)
    assert state.in_flight == {}
    assert len(state.records) == 1


def test_a_second_writer_of_the_same_name_opens_files_of_its_own(tmp_path, record, check):
    """Process numbers come back, in containers at once: the files of the killed one stay as they are."""
    first, second = record(case=CASE + "1"), record(case=CASE + "2")
    journal = Journal(tmp_path, "main-7")
    journal.append(first)
    journal.begin(check("ops/a/f/opinfo-0", unit="all"), 1, Phase.RUN)
    journal.close()
    again = Journal(tmp_path, "main-7")
    again.append(second)
    again.close()
    state = read_run(tmp_path)
    assert set(state.records) == {first.check_id, second.check_id}
    assert list(state.in_flight) == ["ops/a/f/opinfo-0@fp16-ios18@all"]


@pytest.mark.parametrize("cut", [1, 5, 40, -2])
def test_a_last_line_cut_by_a_kill_counts_as_not_finished(tmp_path, record, cut):
    journal = Journal(tmp_path, "main")
    journal.append(record(case=CASE + "1"))
    journal.append(record(case=CASE + "2", reason="größer als 1 µs"))
    journal.close()
    path = journal_file(tmp_path)
    first, second = path.read_bytes().splitlines()
    path.write_bytes(first + b"\n" + second[:cut])
    assert list(read_run(tmp_path).records) == [record(case=CASE + "1").check_id]
    # Resumed: the new writer's records stand beside the cut one.
    again = Journal(tmp_path, "main")
    again.append(record(case=CASE + "2"))
    again.close()
    assert len(read_run(tmp_path).records) == 2


def test_a_cut_in_the_middle_of_a_character_is_a_cut(tmp_path, record):
    journal = Journal(tmp_path, "main")
    journal.append(record(reason="µ"))
    journal.close()
    path = journal_file(tmp_path)
    path.write_bytes(path.read_bytes().partition(b"\\u00b5")[0] + "µ".encode()[:1])
    assert read_run(tmp_path).records == {}


def test_a_whole_last_line_without_its_newline_counts(tmp_path, record):
    journal = Journal(tmp_path, "main")
    journal.append(record())
    journal.close()
    journal_file(tmp_path).write_bytes(journal_file(tmp_path).read_bytes()[:-1])
    assert len(read_run(tmp_path).records) == 1


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda line: line[:20] + b"\n" + line + b"\n", "line 1 is not JSON"),
        (lambda line: line + b"\n\x00\xff\x00\n" + line + b"\n", "line 2 is not JSON"),
        (lambda line: b'{"a": 1}\n' + line + b"\n", "line 1: record schema None"),
        (lambda line: line + b"\n7\n", "line 2: not a record"),
    ],
)
def test_damage_elsewhere_is_named_by_file_and_line(tmp_path, record, damage, says):
    (tmp_path / "journal-main.jsonl").write_bytes(damage(record().to_line().encode()))
    with pytest.raises(HarnessError, match=says) as caught:
        read_run(tmp_path)
    assert "journal-main.jsonl" in str(caught.value)


def test_a_damaged_in_flight_file_is_as_good_as_none(tmp_path, record):
    for number, content in enumerate([b"", b"{", b"[]", b"{}", b'{"begun":{},"phase":"run","attempts":1}', b"\xff"]):
        (tmp_path / f"inflight-{number}.json").write_bytes(content)
    begun = record().to_line()
    for number, rest in enumerate(['"phase":"tea","attempts":1', '"phase":"run","attempts":"x"', '"phase":"run"']):
        (tmp_path / f"inflight-more-{number}.json").write_text(f'{{"begun":{begun},{rest}}}')
    assert read_run(tmp_path).in_flight == {}


def test_records_of_several_processes_are_one_run(tmp_path, record):
    script = textwrap.dedent("""
        import json, os, sys
        from pathlib import Path
        from harness.evidence.check import Check, Subject
        from harness.evidence.journal import Journal
        from harness.evidence.record import Record
        journal = Journal(Path(sys.argv[1]), f"gw{sys.argv[2]}-{os.getpid()}")
        record = Record.from_json(json.loads(sys.argv[3]))
        for number in range(50):
            one = record.with_(case=f"ops/a/f/gw{sys.argv[2]}-{number}", reason="x" * 9000)
            case = Subject(id=one.case, kind=one.kind, op=one.op, api="", dtype="", origin="")
            journal.begin(Check.of(case, one.recipe, one.unit), 1)
            journal.append(one)
        journal.close()
    """)
    command = [sys.executable, "-c", script, str(tmp_path)]
    workers = [subprocess.Popen([*command, str(n), record().to_line()]) for n in range(3)]
    assert [worker.wait(60) for worker in workers] == [0, 0, 0]
    state = read_run(tmp_path)
    assert len(state.records) == 150
    assert state.in_flight == {}


def test_a_killed_writer_leaves_every_record_and_the_check_it_was_in(tmp_path, record):
    script = textwrap.dedent("""
        import json, sys, time
        from pathlib import Path
        from harness.evidence.check import Check, Subject
        from harness.evidence.journal import Journal
        from harness.evidence.record import Record
        from harness.evidence.vocabulary import Phase
        journal = Journal(Path(sys.argv[1]), "main")
        record = Record.from_json(json.loads(sys.argv[2]))
        def check(case):
            subject = Subject(id=case, kind=record.kind, op=record.op, api="", dtype="", origin="")
            return Check.of(subject, record.recipe, record.unit)
        for number in range(20):
            journal.begin(check(f"ops/a/f/opinfo-{number}"), 1)
            journal.append(record.with_(case=f"ops/a/f/opinfo-{number}"))
        journal.begin(check("ops/a/f/opinfo-20"), 1)
        journal.phase(Phase.PACKAGE)
        print("there", flush=True)
        time.sleep(60)
    """)
    command = [sys.executable, "-c", script, str(tmp_path), record().to_line()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "there\n"
        os.kill(process.pid, signal.SIGKILL)
    state = read_run(tmp_path)
    assert len(state.records) == 20
    assert [(e.check_id, e.phase, e.attempts) for e in state.in_flight.values()] == [
        ("ops/a/f/opinfo-20@fp16-ios18@reference", Phase.PACKAGE, 1)
    ]


def test_of_several_attempts_the_highest_counts(tmp_path, record, check):
    for number in (2, 1):
        journal = Journal(tmp_path, f"main-{number}")
        journal.begin(check(), number, Phase.EXPORT)
        journal.close()
    assert read_run(tmp_path).in_flight[record().check_id].attempts == 2


def test_a_check_that_takes_its_process_with_it_is_a_crash_at_its_phase(check):
    begun = Record.of(check("ops/a/f/opinfo-0", unit="all", op="aten.a"), Outcome.NOT_RUN, Phase.EAGER)
    crash = InFlight(begun, Phase.LOAD, 2).as_crash("here")
    assert (crash.op, crash.kind) == ("aten.a", Kind.OPERATOR)
    assert (crash.outcome, crash.phase, crash.environment) == (Outcome.CRASH, Phase.LOAD, "here")
    assert (crash.case, crash.recipe, crash.unit) == ("ops/a/f/opinfo-0", "fp16-ios18", "all")
    assert "load" in crash.error.signature


def test_a_run_read_as_evidence_has_the_interrupted_check_as_a_crash(tmp_path, record, check):
    write_environment(tmp_path, "here", {"os": "linux"})
    journal = Journal(tmp_path, "main")
    journal.append(record(case=CASE + "1"))
    journal.begin(check(CASE + "2"), 1, Phase.CONVERT)
    journal.close()
    evidence = read_run_or_file(tmp_path)
    assert evidence.environments == {"here": {"os": "linux"}}
    assert [(r.case, r.outcome, r.environment) for r in evidence.records] == [
        (CASE + "1", Outcome.PASS, "here"),
        (CASE + "2", Outcome.CRASH, "here"),
    ]


def test_a_file_is_read_as_a_run_is(tmp_path, record):
    write_evidence(tmp_path / "e.jsonl", Evidence({"here": {}}, [record()]))
    assert read_run_or_file(tmp_path / "e.jsonl").records == [record()]


def test_what_is_neither_run_nor_file_is_named(tmp_path):
    with pytest.raises(HarnessError, match="nowhere: no such file or run directory"):
        read_run_or_file(tmp_path / "nowhere")
    with pytest.raises(HarnessError, match="no journal in this directory"):
        read_run_or_file(tmp_path)


def test_a_resumed_run_keeps_the_date_of_its_environment(tmp_path):
    write_environment(tmp_path, "here", {"date": "2026-01-02"})
    write_environment(tmp_path, "here", {"date": "2026-01-03"})
    write_environment(tmp_path, "there", {"date": "2026-01-04"})
    assert read_run(tmp_path).environments == {"here": {"date": "2026-01-02"}, "there": {"date": "2026-01-04"}}


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff\xfe"])
def test_a_damaged_environment_file_is_named(tmp_path, content):
    (tmp_path / "environment.json").write_bytes(content)
    with pytest.raises(HarnessError, match=r"environment\.json"):
        read_run(tmp_path)
    with pytest.raises(HarnessError, match=r"environment\.json"):
        write_environment(tmp_path, "here", {})
    assert (tmp_path / "environment.json").read_bytes() == content


@pytest.mark.parametrize("use", [check_writable, lambda path: Journal(path, "main")])
@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_run_dir_that_cannot_be_written_is_named(tmp_path, use, place):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(HarnessError, match=f"{place}: cannot write the run directory: not a directory"):
        use(tmp_path / place)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_run_dir_is_named(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(HarnessError, match="Permission denied"):
        check_writable(tmp_path)


def test_looking_whether_a_run_dir_can_be_written_leaves_nothing(tmp_path):
    check_writable(tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []


def test_what_is_in_flight_is_one_json_object(tmp_path, check):
    journal = Journal(tmp_path, "main")
    journal.begin(check(), 1)
    for phase in Phase:
        journal.phase(phase)
    journal.close()
    (path,) = tmp_path.glob("inflight-*")
    begun = Record.of(check(), Outcome.NOT_RUN, Phase.EAGER).to_json()
    assert json.loads(path.read_bytes()) == {"begun": begun, "phase": "value", "attempts": 1}


def test_a_run_is_held_to_the_code_it_was_begun_with(tmp_path):
    hold_to_code(tmp_path, "abc")
    hold_to_code(tmp_path, "abc")
    with pytest.raises(HarnessError, match="begun with other installed code"):
        hold_to_code(tmp_path, "abd")


def test_the_latest_run_is_the_one_written_to_last(tmp_path, record):
    assert latest_run(tmp_path / "none") is None
    for number, name in enumerate(("b", "a", "empty")):
        journal = Journal(tmp_path / name, "main")
        if name != "empty":
            journal.append(record())
        journal.close()
        os.utime(journal_file(tmp_path / name), (number, number))
    assert latest_run(tmp_path) == tmp_path / "a"
    assert latest_run(tmp_path, but=tmp_path / "a") == tmp_path / "b"


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
def test_what_has_a_remedy_stands_for_the_same_without(tmp_path, record, order):
    """Ways around are looked for when the checks are done, by another writer, whose file may be read first."""
    for name, found in zip(order, (None, Remedy(outcome=Outcome.PASS, skip=("aten.x.default",))), strict=True):
        journal = Journal(tmp_path, name)
        journal.append(record(outcome=Outcome.WRONG_VALUE, remedy=found))
        journal.close()
    (one,) = read_run(tmp_path).records.values()
    assert one.remedy is not None


def test_a_folder_of_evidence_files_is_all_of_them_and_a_part_comes_last(tmp_path, record):
    write_evidence(tmp_path / "a.jsonl", Evidence({"here": {}}, [record(), record(unit="all")]))
    write_evidence(tmp_path / "a.part.jsonl", Evidence({"here": {}}, [record("crash")]))
    write_evidence(tmp_path / "b.jsonl", Evidence({"there": {}}, [record(environment="there")]))
    folder = read_run_or_file(tmp_path)
    assert set(folder.environments) == {"here", "there"}
    assert folder.path == tmp_path
    found = {(one.environment, one.unit): str(one.outcome) for one in folder.records}
    assert found == {("here", "reference"): "crash", ("here", "all"): "pass", ("there", "reference"): "pass"}
    (tmp_path / "b.jsonl").write_text("foreign")
    with pytest.raises(HarnessError, match=r"b\.jsonl: line 1"):
        read_run_or_file(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(HarnessError, match="no journal in this directory"):
        read_run_or_file(tmp_path / "empty")
