"""`coreml-harness repro`."""

from __future__ import annotations

import ast
import functools
import shlex
from pathlib import Path

import pytest

from harness.cases.opinfo import cases
from harness.commands import repro
from harness.evidence.vocabulary import HarnessError
from harness.process.isolation import IsolatedChecker

TESTS = Path(__file__).resolve().parents[1]


@pytest.fixture
def run(monkeypatch, capsys):
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    fake = functools.partial(IsolatedChecker, handler="fake_handler:make_checker")
    monkeypatch.setattr(repro, "IsolatedChecker", fake)

    def command(check_id):
        return repro.run(check_id), capsys.readouterr().out

    return command


def test_the_record_comes_first_then_the_script(run):
    """The fake handler passes what it knows no other outcome for."""
    identity = f"{next(case.id for case in cases() if case.op == 'aten.neg.default')}@fp16-ios18@reference"
    code, out = run(identity)
    assert code == 0
    assert out.startswith(f"# {identity}: pass (phase value)\n")
    assert f"# again: coreml-harness repro {identity}\n" in out
    assert "class Model" in out
    ast.parse(out)


def test_the_command_is_quoted_for_a_shell(run):
    """An id that holds quotes, spaces and brackets."""
    identity = "modules/functional/float32/F.conv1d(signal, w1, padding='same')@fp16-ios18@reference"
    _, out = run(identity)
    (line,) = [line for line in out.splitlines() if line.startswith("# again: ")]
    assert shlex.split(line.removeprefix("# again: ")) == ["coreml-harness", "repro", identity]


@pytest.mark.parametrize(
    ("check_id", "says"),
    [
        ("neg", "'neg' is not a check id"),
        (
            "ops/aten.neg.default/float32/opinfo-99@fp16-ios18@reference",
            "no case 'ops/aten.neg.default/float32/opinfo-99'",
        ),
        ("ops/aten.neg.default/float32/opinfo-1df5b9@fp8-ios18@reference", "unknown recipe 'fp8-ios18'"),
        ("ops/aten.neg.default/float32/opinfo-1df5b9@fp16-ios18@moon", "unknown unit 'moon'"),
        ("check/mine/f@fp16-ios18@reference", "check/mine/f"),
    ],
)
def test_what_names_no_check_is_refused(run, check_id, says):
    with pytest.raises(HarnessError, match=says):
        run(check_id)
