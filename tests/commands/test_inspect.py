from __future__ import annotations

import logging
import re
import shutil
from pathlib import Path

import pytest
import torch

from harness.commands import compare_units, inspect
from harness.commands.inspect import Package, told
from harness.evidence.unit import UnitSpec
from harness.evidence.vocabulary import HarnessError
from harness.lowering.from_pte import StoredDelegate, StoredMethod
from harness.lowering.program import Delegate, TensorSpec
from harness.verdict.difference import difference

X = torch.linspace(-1, 1, 8).reshape(2, 4)


class Mixed(torch.nn.Module):
    """asinh is left to ExecuTorch; a number comes in, and one goes out."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.after = torch.nn.Linear(4, 8), torch.nn.Linear(8, 3)

    def forward(self, x, times: int):
        y = torch.asinh(self.before(x))
        return self.after(y) * times, y.sum(-1), x.shape[0]


def pte(module, inputs, *, delegated) -> bytes:
    from executorch.backends.apple.coreml.partition import CoreMLPartitioner
    from executorch.exir import to_edge_transform_and_lower

    logging.disable(logging.WARNING)
    try:
        exported = torch.export.export(module.eval(), inputs)
        partitioner = [CoreMLPartitioner()] if delegated else []
        return bytes(to_edge_transform_and_lower(exported, partitioner=partitioner).to_executorch().buffer)
    finally:
        logging.disable(logging.NOTSET)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("pte") / "mixed.pte"
    path.write_bytes(pte(Mixed(), (X, 3), delegated=True))
    return path


def inspected(path: Path, *units: UnitSpec) -> tuple[int, list[str]]:
    lines: list[str] = []
    return inspect.run(path, units, lines.append), lines


def test_a_program_is_told_part_by_part(mixed):
    code, lines = inspected(mixed)
    text = "\n".join(lines)
    assert code == 0
    assert lines[0].endswith("1 method")
    assert "method forward: 2 inputs, 3 outputs" in lines
    assert "  2 delegates, 1 island of ExecuTorch's own kernels" in lines
    assert re.search(r"  delegate 0: Core ML, \d+\.\d kB of which \d\.\d kB weights\n    operators: .*linear", text)
    assert "  island 0: aten::asinh.out" in lines
    assert lines[-1] == "  loads on iOS 15, macOS 12 and later (specification version 6)"


def test_a_rule_of_the_loader_and_a_missing_kernel_are_findings(mixed, monkeypatch):
    monkeypatch.setattr(inspect, "load_problems", lambda program: ("an input has rank 6",))
    code, lines = inspected(mixed)
    assert code == 1
    assert lines.count("    Core ML does not load it: an input has rank 6") == 2
    delegate = StoredDelegate("XnnpackBackend", Delegate(b"xx", (), (), {}))
    method = StoredMethod("f", (TensorSpec("float32", (1,)),), 1, (delegate,), ("aten::a.out", 0), ("aten::a.out",))
    package = Package(2_000_000, 1_000_000, 9, "f", 1, {"add": 2, "mul": 1}, 1, {"k": "v"}, ())
    assert "  ExecuTorch has no kernel for: aten::a.out; it would not load" in told(method, {})
    assert "  delegate 0: of XnnpackBackend, 0.0 kB" in told(method, {})
    lines = told(method, {0: package})
    assert "  delegate 0: Core ML, function f, 2.0 MB of which 1.0 MB weights, 1 state" in lines
    assert "    operators: add x2, mul" in lines
    assert "    k: v" in lines
    assert lines[-1].startswith("  loads on iOS 18, macOS 15 and later")


def test_what_is_nothing_of_core_ml_is_refused_in_one_line(mixed, tmp_path):
    plain = tmp_path / "plain.pte"
    plain.write_bytes(pte(torch.nn.ReLU(), (X,), delegated=False))
    cut = tmp_path / "cut.pte"
    cut.write_bytes(mixed.read_bytes()[:9000])
    for path, says in (
        (plain, "nothing of Core ML: it has no delegates"),
        (cut, "cannot be read back"),
        (tmp_path / "nowhere.pte", "no such file"),
    ):
        with pytest.raises(HarnessError, match=says) as caught:
            inspected(path)
        assert str(caught.value).startswith(str(path))
        assert "\n" not in str(caught.value)


def test_two_units_are_compared_and_one_that_cannot_run_is_told(mixed, monkeypatch):
    right = [torch.tensor([1.0, 2.0])]

    def asked(request):
        if request["unit"] == "all":
            return {"not_run": "no Core ML here"}
        if request["unit"] == "cpu_only":
            return {"failed": "SIGSEGV"}
        torch.save([t * (1.5 if request["unit"] == "cpu_and_ne" else 1) for t in right], request["out"])
        return {}

    monkeypatch.setattr(compare_units, "_asked", asked)

    def run(*names):
        code, lines = inspected(mixed, *map(UnitSpec.parse, names))
        return code, lines[lines.index("  loads on iOS 15, macOS 12 and later (specification version 6)") + 1 :]

    assert run("reference", "cpu_and_gpu") == (0, ["  cpu_and_gpu against reference: the outputs are equal"])
    code, lines = run("reference", "cpu_and_ne")
    assert code == 1
    assert lines == [
        "  cpu_and_ne against reference: 2 of 2 elements differ, by 1 at most, first in output 0; more than rounding"
    ]
    nothing = "  nothing to compare: it ran on less than two units"
    assert run("reference", "all") == (0, ["  all: not run: no Core ML here", nothing])
    assert run("reference", "cpu_only") == (1, ["  cpu_only: failed: SIGSEGV", nothing])


def test_a_child_runs_a_method_on_a_unit(mixed, tmp_path):
    handle = compare_units.make_handler()
    path = shutil.copy(mixed, tmp_path / "mine.pte")
    request = {"file": str(path), "method": "forward", "unit": "reference", "target": "iOS15"}
    request |= {"inputs": {"0": 1, "1": 1}, "out": str(tmp_path / "out")}
    assert handle(request, lambda _message: None) == {}
    assert [tuple(t.shape) for t in torch.load(tmp_path / "out")] == [(2, 3), (2,), ()]
    assert "failed" in handle({**request, "inputs": {"0": 0, "1": 1}}, lambda _message: None)


@pytest.mark.parametrize(
    ("one", "two", "agreeing"),
    [
        ([1.0, 2.0], [1.001, 2.0], True),
        ([1.0, 2.0], [1.5, 2.0], False),
        ([float("nan"), 2.0], [float("nan"), 2.0], True),
        ([float("nan"), 2.0], [1.0, 2.0], False),
        ([float("inf"), 2.0], [float("inf"), 2.001], True),
        ([0.0, 0.0], [0.0, 0.0], True),
        ([0.0, 1.0], [0.0, 0.0], False),
    ],
)
def test_units_agree_up_to_rounding(one, two, agreeing):
    got, other = [torch.tensor(one)], [torch.tensor(two)]
    assert compare_units.agree(difference(got, other, "fp16"), got, other) is agreeing
