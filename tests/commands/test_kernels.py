"""`coreml-harness kernels`."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

from harness.cli import main
from harness.commands import kernels as coverage
from harness.mil import MissingKernel
from harness.mil.kernels import KERNELS

TESTS = Path(__file__).parents[1] / "mil"


def test_kernels_are_counted_by_family(capsys):
    assert main(["kernels"]) == 0
    *families, total = capsys.readouterr().out.splitlines()
    assert "linear: 3 kernels, 3 documented: einsum, linear, matmul" in families
    assert total == f"total: {len(KERNELS)} kernels, {len(KERNELS)} documented"
    assert sum(int(line.split(": ")[1].split()[0]) for line in families) == len(KERNELS)


def test_one_kernel_is_told_in_words(capsys):
    code, lines = kernels(capsys, "leaky_relu")
    assert (code, lines[0], lines[2]) == (
        0,
        "leaky_relu(x: Array, alpha: float = 0.01)",
        "x where x >= 0, else alpha * x.",
    )
    assert main(["kernels", "levitate"]) == 2
    assert capsys.readouterr().err.startswith("coreml-harness: no kernel for levitate (")


LINES = [
    '{"evidence": {"records": 3}}',
    '{"mil_ops": {"add": 2, "tile": 1}}',
    "",
    '{"mil_ops": null}',
    '{"mil_ops": {"add": 1}}',
]
LACKING = '{"outcome": "not_run", "reason": "the reference executor has no kernel for MIL levitate, soar"}'


def kernels(capsys, *options):
    code = main(["kernels", *map(str, options)])
    return code, capsys.readouterr().out.splitlines()


def test_each_emitted_operator_has_a_line_and_the_four_numbers_are_last(tmp_path, capsys):
    records = tmp_path / "records.jsonl"
    records.write_text("\n".join(LINES))
    assert kernels(capsys, "--emitted", records, "--tests", TESTS) == (
        0,
        [
            "add   kernel, tests, docs (in 2 records)",
            "tile  kernel, tests, docs (in 1 records)",
            "emitted: 2, with kernels: 2, with tests: 2, with docs: 2",
        ],
    )


def test_operators_without_a_kernel_are_named_also_where_they_kept_a_check_from_running(tmp_path, capsys):
    records = tmp_path / "records.jsonl"
    records.write_text("\n".join([*LINES, '{"mil_ops": {"hover": 5}}', LACKING]))
    code, lines = kernels(capsys, "--emitted", records, "--tests", TESTS)
    assert code == 1
    assert [line.split()[0] for line in lines] == ["add", "hover", "levitate", "soar", "tile", "emitted:"]
    assert lines[1] == "hover     no kernel, no tests, no docs (in 1 records)"
    assert lines[-1] == "emitted: 5, with kernels: 2, with tests: 2, with docs: 2"


def test_what_an_interpreter_without_a_kernel_says_is_understood():
    said = str(MissingKernel(["soar", "levitate"], KERNELS))
    assert coverage._LACKING.search(said)[1] == "levitate, soar"


def test_an_operator_is_tested_when_it_has_a_row(tmp_path, capsys, monkeypatch):
    records = tmp_path / "records.jsonl"
    records.write_text("\n".join(LINES))
    assert coverage.tested_operators(TESTS) == set(KERNELS)
    table = sys.modules["kernel_properties.table"].PROPERTIES
    monkeypatch.delitem(table, "tile")
    code, lines = kernels(capsys, "--emitted", records, "--tests", TESTS)
    assert code == 1
    assert lines[1:] == [
        "tile  kernel, no tests, docs (in 1 records)",
        "emitted: 2, with kernels: 2, with tests: 1, with docs: 2",
    ]


def test_without_tests_there_is_no_number_of_them(tmp_path, capsys, monkeypatch):
    records = tmp_path / "records.jsonl"
    records.write_text("\n".join(LINES))
    monkeypatch.chdir(tmp_path)
    assert kernels(capsys, "--emitted", records) == (
        0,
        [
            "add   kernel, docs (in 2 records)",
            "tile  kernel, docs (in 1 records)",
            "emitted: 2, with kernels: 2, with tests: not looked for, with docs: 2",
        ],
    )
    monkeypatch.chdir(TESTS.parents[1])
    assert kernels(capsys, "--emitted", records)[1][-1].endswith("with tests: 2, with docs: 2")


def test_the_tests_of_someone_else_are_refused(tmp_path, capsys):
    records = tmp_path / "records.jsonl"
    records.write_text("\n".join(LINES))
    assert main(["kernels", "--emitted", str(records), "--tests", str(tmp_path)]) == 2
    assert "no table of properties" in capsys.readouterr().err
    coverage.tested_operators(TESTS)
    table = tmp_path / coverage.TABLE
    table.parent.mkdir(parents=True)
    table.write_text("PROPERTIES = {}")
    assert main(["kernels", "--emitted", str(records), "--tests", str(tmp_path)]) == 2
    assert "another kernel_properties.rows is imported already" in capsys.readouterr().err


def test_the_journals_of_a_run_are_read_while_it_goes_on(tmp_path, capsys):
    (tmp_path / "journal-one.jsonl").write_text("\n".join(LINES[1:]) + "\n")
    (tmp_path / "journal-two.jsonl").write_text('{"mil_ops": {"exp": 1}}\n{"mil_ops": {"lo')
    (tmp_path / "inflight-two.json").write_text("{")
    code, lines = kernels(capsys, "--emitted", tmp_path, "--tests", TESTS)
    assert code == 0
    assert [line.split()[0] for line in lines] == ["add", "exp", "tile", "emitted:"]
    (tmp_path / "journal-two.jsonl").write_text('{"mil_ops": {"lo\n{"mil_ops": {"exp": 1}}\n')
    assert kernels(capsys, "--emitted", tmp_path)[0] == 2


def test_a_file_that_holds_no_records_is_exit_code_2(tmp_path, capsys):
    text = tmp_path / "text.jsonl"
    text.write_text('{"mil_ops": {}}\nnot a record')
    assert main(["kernels", "--emitted", str(text)]) == 2
    assert main(["kernels", "--emitted", str(tmp_path / "absent.jsonl")]) == 2
    text.write_text("[1, 2]")
    assert main(["kernels", "--emitted", str(text)]) == 2
    text.write_text('{"mil_ops": 3}')
    assert main(["kernels", "--emitted", str(text)]) == 2
    text.write_bytes(b"\xff\xfe")
    assert main(["kernels", "--emitted", str(text)]) == 2
    (tmp_path / "empty").mkdir()
    assert main(["kernels", "--emitted", str(tmp_path / "empty")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 6
    assert "line 2" in error


def test_a_kernel_without_docstring_is_not_counted_as_documented(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(KERNELS, "add", dataclasses.replace(KERNELS["add"], function=lambda context, x, y: x + y))
    code, lines = kernels(capsys)
    assert (code, lines[-1]) == (0, f"total: {len(KERNELS)} kernels, {len(KERNELS) - 1} documented")
    records = tmp_path / "records.jsonl"
    records.write_text("\n".join(LINES))
    code, lines = kernels(capsys, "--emitted", records, "--tests", TESTS)
    assert code == 1
    assert lines[0] == "add   kernel, tests, no docs (in 2 records)"
    assert lines[-1] == "emitted: 2, with kernels: 2, with tests: 2, with docs: 1"
