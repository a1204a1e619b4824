"""Files of cases, written, loaded and checked; a fault planted in the converter is found in the block that has it."""

import sys
from pathlib import Path

import pytest
import torch

from harness.cases import user_file
from harness.check import Checker
from harness.cli import main
from harness.commands.extract import run
from harness.diagnosis import blame
from harness.evidence.check import Check
from harness.evidence.notes import NoteCode
from harness.evidence.recipe import Recipe
from harness.evidence.vocabulary import WORKING, HarnessError, Outcome

sys.path.insert(0, str(Path(__file__).parents[1] / "planted"))

from planting import scaled

#: Six layers of attention and a feed-forward part: 50 operators and more.
MINE = """
import torch


class Attention(torch.nn.Module):
    def __init__(self, size):
        super().__init__()
        self.qkv, self.out = torch.nn.Linear(size, 3 * size), torch.nn.Linear(size, size)

    def forward(self, x):
        q, k, v = self.qkv(x).chunk(3, -1)
        return self.out(torch.softmax(q @ k.transpose(1, 2) / 4, -1) @ v)


class Mlp(torch.nn.Module):
    def __init__(self, size):
        super().__init__()
        self.up, self.down = torch.nn.Linear(size, 2 * size), torch.nn.Linear(2 * size, size)

    def forward(self, x):
        return x + self.down(torch.nn.functional.gelu(self.up(x)))


class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = torch.nn.ModuleList(torch.nn.Sequential(Attention(8), Mlp(8)) for _ in range(4))

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x.mean(1)


def network():
    return Network(), (torch.randn(1, 6, 8),)


def helper():
    return 3


def _hidden():
    raise AssertionError
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "mine.py"
    path.write_text(MINE)
    return path


def checked(path, name):
    (case,) = user_file.load(path, name)
    return Checker().check(Check.of(case, Recipe.parse("fp32-ios18"), "reference"))


def test_a_model_of_50_operators_gives_a_file_of_cases_that_runs(mine, capsys):
    assert run("mine.py") == 0
    out = capsys.readouterr().out
    assert "left out: mine.py::helper: returned int" in out
    assert "wrote mine_cases.py: run `coreml-harness check mine_cases.py`" in out
    program = torch.export.export(*_network(mine))
    assert sum(node.op == "call_function" for node in program.graph.nodes) >= 50
    cases = user_file.load(Path("mine_cases.py"))
    names = {case.api for case in cases}
    assert names >= {"linear_1", "softmax_1", "gelu_1", "attention_1", "mlp_1", "sequential_1"}
    for name in ("linear_1", "softmax_1", "attention_1", "mlp_1", "sequential_1"):
        assert checked(Path("mine_cases.py"), name).outcome in WORKING


def _network(path):
    built = user_file.load(path, "network")[0].build()
    return built.module, built.inputs


def test_an_operator_broken_in_the_converter_is_found_through_its_block_and_named(mine, monkeypatch):
    assert run("mine.py::network", output=Path("out.py")) == 0
    scaled("gelu", 1.02)(monkeypatch)
    monkeypatch.setattr(blame, "SECONDS", 1000.0)  # on a slow machine too
    block = checked(Path("out.py"), "mlp_1")
    assert block.outcome is Outcome.WRONG_VALUE
    assert [note.detail for note in block.notes if note.code is NoteCode.OPERATOR] == ["aten.gelu.default"]
    assert checked(Path("out.py"), "gelu_1").outcome is Outcome.WRONG_VALUE
    assert checked(Path("out.py"), "attention_1").outcome in WORKING


def test_the_same_model_gives_the_same_file_and_a_file_there_is_kept(mine):
    assert run("mine.py") == 0
    first = Path("mine_cases.py").read_text()
    with pytest.raises(HarnessError, match="is there already"):
        run("mine.py")
    assert run("mine.py", force=True) == 0
    assert Path("mine_cases.py").read_text() == first


def test_a_program_in_a_file_is_taken_too(mine):
    torch.export.save(torch.export.export(*_network(mine)), "saved.pt2")
    assert run("saved.pt2") == 0
    assert "mlp_1" in [case.api for case in user_file.load(Path("saved_cases.py"))]


def test_a_module_of_several_that_does_not_export_is_left_out_with_a_line(mine, capsys):
    mine.write_text(MINE + "\ndef branches():\n    return torch.nn.Module(), (torch.ones(1),)\n")
    assert run("mine.py") == 1
    assert "left out: branches: does not export: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "file", "message"),
    [
        ("def f():\n    return 3\n", "bad.py::f", "returned int"),
        ("def f():\n    raise ValueError('no')\n", "bad.py", "f: f() raised ValueError: no"),
        ("import torch\ndef f():\n    return torch.nn.Identity(), (torch.ones(1),)\n", "bad.py", "no calls to extract"),
        ("", "bad.py", "no case"),
        ("", "absent.py", "absent.py: no such file"),
        ("", "bad.pte", "from a .py or .pt2 file"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(text, file, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("bad.py").write_text(text)
    assert main(["extract", file]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


@pytest.mark.parametrize("out", ["out.txt", "no-name.py", "absent/out.py"])
def test_an_output_that_is_no_python_file_is_refused(mine, out):
    with pytest.raises(HarnessError, match="not a"):
        run("mine.py", output=Path(out))
