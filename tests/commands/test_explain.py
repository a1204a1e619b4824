import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli import main

FP16 = "[method.cpp:113] Init failed for backend CoreMLBackend: 0x23"


@pytest.fixture
def run(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        code = main(["explain", *arguments])
        return (code, *capsys.readouterr())

    return call


def test_an_error_is_explained(run):
    code, out, _ = run("--error", FP16)
    assert code == 0
    assert out.startswith("loading: 0x23, InvalidProgram")


def test_an_unknown_error_says_what_to_do_next(run):
    code, out, _ = run("--error", "hello")
    assert code == 1
    assert out.startswith("no known error stands in this text. Give the whole traceback")
    assert out.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "expected a CHECK-ID or --error TEXT"),
        (("ops/a", "--error", "boom"), "expected a CHECK-ID or --error TEXT"),
        (("--error", "boom", "--localise"), "go with a CHECK-ID"),
        (("--error", "boom", "--evidence", "a.jsonl"), "go with a CHECK-ID"),
    ],
)
def test_one_of_them_is_asked_for(run, arguments, says):
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert says in err
    assert err.count("\n") == 1


def test_a_traceback_is_read_from_standard_input_without_torch():
    """What is no UTF-8 in it is passed over."""
    code = (
        "import sys; from harness.cli import main; done = main(['explain', '--error', '-']); "
        "assert 'torch' not in sys.modules; sys.exit(done)"
    )
    text = b"\xff Traceback\n  ...\nValueError: divisor_override is not supported for avg_pool2d\n"
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], input=text, capture_output=True, cwd=root, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(b"cause avg-pool-divisor-override")
