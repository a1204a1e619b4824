from harness.cases.find import suite
from harness.commands.durations import main
from harness.evidence.durations import TABLE_FILE, read_table
from harness.evidence.journal import Journal
from harness.evidence.record import Record
from harness.evidence.vocabulary import Outcome, Phase

MODEL = suite("models")[0].id


def write_run(directory, unit="reference", **seconds):
    journal = Journal(directory, "main")
    for case, total in seconds.items():
        name = MODEL if case == "model" else f"check/{case}"
        timing = {"total": total} if total else {}
        journal.append(Record(name, "fp16-ios18", unit, Outcome.PASS, Phase.VALUE, timing=timing))
    journal.close()


def test_the_table_is_brought_up_to_a_run_and_holds_no_case_of_no_suite(tmp_path, capsys):
    write_run(tmp_path / "run", model=9.0, mine=30.0)
    assert main([str(tmp_path / "run")], tmp_path) == 0
    assert read_table(tmp_path / TABLE_FILE) == {MODEL: 8.0}
    assert main([str(tmp_path / "run")], tmp_path) == 0
    assert [line.partition(": ")[2] for line in capsys.readouterr().out.splitlines()] == [
        "1 cases, 1 changed",
        "1 cases, 0 changed",
    ]


def test_what_cannot_be_done_is_one_line_and_exit_code_2(tmp_path, capsys):
    write_run(tmp_path / "run", model=0.0)
    write_run(tmp_path / "mac", unit="all", model=30.0)
    for arguments, says in (
        ([], "name the run directories"),
        ([str(tmp_path / "none")], "no such file or run directory"),
        ([str(tmp_path / "run")], "no recorded times"),
        ([str(tmp_path / "mac")], "no recorded times of the reference unit"),
    ):
        assert main(arguments, tmp_path) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert says in line
    assert not (tmp_path / TABLE_FILE).exists()
