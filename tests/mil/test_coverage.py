"""`python -m harness.mil kernels`."""

from __future__ import annotations

import dataclasses

from harness.mil.__main__ import main
from harness.mil.kernels import KERNELS


def test_kernels_are_counted_by_family(capsys):
    assert main(["kernels"]) == 0
    *families, total = capsys.readouterr().out.splitlines()
    assert "linear: 3 kernels, 3 documented: einsum, linear, matmul" in families
    assert total == f"total: {len(KERNELS)} kernels, {len(KERNELS)} documented"
    assert sum(int(line.split(": ")[1].split()[0]) for line in families) == len(KERNELS)


def test_emitted_operators_without_a_kernel_are_named(tmp_path, capsys):
    records = tmp_path / "records.jsonl"
    lines = ['{"evidence": {"records": 3}}', '{"mil_ops": {"add": 2, "tile": 1}}', "", '{"mil_ops": null}']
    records.write_text("\n".join(lines))
    assert main(["kernels", "--emitted", str(records)]) == 0
    output = capsys.readouterr().out
    assert "emitted: 2 operator types, 2 with a kernel, 0 without" in output
    assert f"total: {len(KERNELS)} kernels, {len(KERNELS)} documented, 2 emitted" in output

    records.write_text("\n".join([*lines, '{"mil_ops": {"levitate": 5}}']))
    assert main(["kernels", "--emitted", str(records)]) == 1
    assert "no kernel: levitate (in 1 records)" in capsys.readouterr().out


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
    error = capsys.readouterr().err
    assert error.count("\n") == 5
    assert "line 2" in error


def test_a_kernel_without_docstring_is_not_counted_as_documented(monkeypatch, capsys):
    monkeypatch.setitem(KERNELS, "add", dataclasses.replace(KERNELS["add"], function=lambda context, x, y: x + y))
    assert main(["kernels"]) == 0
    assert f"{len(KERNELS)} kernels, {len(KERNELS) - 1} documented" in capsys.readouterr().out
