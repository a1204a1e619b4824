from __future__ import annotations

import numpy as np
import pytest
from coremltools.converters.mil import Builder as mb

from harness.mil.__main__ import main


@pytest.fixture(scope="module")
def package(bench):
    return bench.package(lambda x: mb.mul(x=x, y=np.float32(3)), {"x": np.float32([1, 2])})


def test_run_prints_or_writes_the_outputs(package, tmp_path, capsys):
    inputs, out = tmp_path / "in.npz", tmp_path / "out.npz"
    np.savez(inputs, x=np.float32([1, 2]))
    assert main(["run", package, str(inputs)]) == 0
    assert "float32[2]\n[3. 6.]" in capsys.readouterr().out
    assert main(["run", package, str(inputs), "--mode", "exact", "--out", str(out)]) == 0
    with np.load(out) as archive:
        (name,) = archive.files
        assert archive[name].tolist() == [3, 6]


def test_show_lists_operators(package, capsys):
    assert main(["show", package]) == 0
    assert "1 mul" in capsys.readouterr().out


def test_show_tells_what_core_ml_does_not_load(bench, package, capsys):
    assert main(["show", package]) == 0
    assert "not loaded" not in capsys.readouterr().out
    volume = bench.package(
        lambda x: mb.pad(x=x, pad=[1, 1, 0, 0, 0, 0], mode="reflect"), {"x": np.ones((3, 2, 2), "f4")}
    )
    assert main(["show", volume]) == 0
    assert "\nnot loaded: pad-before-the-last-two-dimensions: pad -> " in capsys.readouterr().out
    same = bench.package(lambda x: x, {"x": np.float32([1, 2])})
    assert main(["show", same]) == 0
    assert "\nnote: input-returned-as-output: x: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arrays", "options", "message"),
    [
        ({"y": np.float32([1, 2])}, [], "unknown 'y'"),
        ({"x": np.float32([1])}, [], "shape [1]"),
        ({"x": np.float32([1, 2])}, ["--function", "no"], "no function 'no'"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(package, tmp_path, capsys, arrays, options, message):
    inputs = tmp_path / "in.npz"
    np.savez(inputs, **arrays)
    assert main(["run", package, str(inputs), *options]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error


def test_foreign_files(package, tmp_path, capsys):
    text = tmp_path / "in.npz"
    text.write_text("not arrays")
    assert main(["run", package, str(text)]) == 2
    assert main(["run", package, str(tmp_path / "absent.npz")]) == 2
    assert main(["show", str(tmp_path / "absent.mlpackage")]) == 2
    assert capsys.readouterr().err.count("\n") == 3
