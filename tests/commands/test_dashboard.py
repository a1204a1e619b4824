import json

import pytest

from harness.cli import main
from harness.commands import dashboard
from harness.evidence.files import Evidence, write_evidence
from harness.evidence.record import Record
from harness.evidence.vocabulary import Outcome, Phase
from harness.publish.dashboard_libraries import Library

HERE, SIMULATED = "linux-x", "macos-x-simulated"
BLOCKS = {
    HERE: {"os": "linux 6.1", "machine": "x86_64", "versions": {"executorch": "1.5.1"}},
    SIMULATED: {"os": "macos 15.2", "simulated": True},
}


def gelu(sample=0, outcome=Outcome.PASS, **fields):
    case = f"ops/aten.gelu.default/float32/opinfo-{sample}"
    values = {"recipe": "fp16-ios18", "unit": "reference", "op": "aten.gelu.default", "environment": HERE}
    return Record(
        case=case, outcome=outcome, phase=Phase.VALUE, delegated={"aten.gelu.default": 1}, **{**values, **fields}
    )


@pytest.fixture
def run(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(dashboard, "installed_libraries", lambda: {"tables": Library("Tables", "1", "MIT", "let a;")})

    def call(*arguments):
        code = main(["dashboard", *map(str, arguments)])
        return (code, *capsys.readouterr())

    return call


def write(path, *records):
    used = {record.environment for record in records}
    write_evidence(path, Evidence({name: BLOCKS[name] for name in used}, list(records)))
    return path


def test_the_page_of_the_committed_evidence(run, tmp_path):
    write(tmp_path / "reports/evidence/a.jsonl", gelu())
    code, out, err = run()
    assert (code, err) == (0, "")
    assert out == "wrote reports/index.html: 1 checks: 1 pass\n"
    assert (tmp_path / "reports/index.html").read_text().startswith("<!DOCTYPE html>")


def test_several_files_are_one_page_and_equal_records_give_equal_bytes(run, tmp_path):
    one, two = write(tmp_path / "a.jsonl", gelu(0)), write(tmp_path / "b.jsonl", gelu(1))
    _, out, _ = run(one, two, "-o", "x.html")
    assert out == "wrote x.html: 2 checks: 2 pass\n"
    run(two, one, "-o", "y.html")
    assert (tmp_path / "x.html").read_bytes() == (tmp_path / "y.html").read_bytes()


def test_an_earlier_run_is_held_against(run, tmp_path):
    one, two = write(tmp_path / "a.jsonl", gelu()), write(tmp_path / "b.jsonl", gelu(outcome=Outcome.WRONG_VALUE))
    code, _, err = run(two, "--against", one, "-o", "x.html")
    assert (code, err) == (0, "")


def refused(run, tmp_path, *arguments):
    page = tmp_path / "x.html"
    page.write_text("as it was")
    code, out, err = run(*arguments, "-o", page)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert page.read_text() == "as it was"
    assert [path.name for path in tmp_path.glob(".x.html*")] == []
    return err


def test_an_empty_run_is_refused(run, tmp_path):
    assert "no records" in refused(run, tmp_path, write(tmp_path / "a.jsonl"))


def test_a_run_without_anything_to_show_is_refused(run, tmp_path):
    path = write(tmp_path / "a.jsonl", gelu(environment=SIMULATED, unit="cpu_only"))
    assert "no records to show; 1 are of a simulated host" in refused(run, tmp_path, path)


def test_no_evidence_at_all_is_refused(run, tmp_path):
    assert "no evidence files" in refused(run, tmp_path)


def test_runs_that_share_nothing_are_refused(run, tmp_path):
    one, two = write(tmp_path / "a.jsonl", gelu(0)), write(tmp_path / "b.jsonl", gelu(1))
    assert "share no check" in refused(run, tmp_path, two, "--against", one)


def test_records_of_another_schema_are_refused(run, tmp_path):
    path = write(tmp_path / "a.jsonl", gelu())
    head, line = path.read_text().splitlines()
    path.write_text(f"{head}\n{json.dumps({**json.loads(line), 'schema': 1})}\n")
    assert "a.jsonl: line 2: record schema 1" in refused(run, tmp_path, path)


def test_half_written_lines_are_refused(run, tmp_path):
    path = write(tmp_path / "a.jsonl", gelu())
    path.write_text(path.read_text()[:-20])
    assert "a.jsonl: line 2 is not JSON" in refused(run, tmp_path, path)


def test_a_folder_that_cannot_be_written_is_told(run, tmp_path):
    path = write(tmp_path / "a.jsonl", gelu())
    (tmp_path / "file").write_text("")
    code, _, err = run(path, "-o", tmp_path / "file/x.html")
    assert code == 2
    assert err.count("\n") == 1
