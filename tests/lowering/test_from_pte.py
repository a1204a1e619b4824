"""A `.pte` read back: what it holds, and that running it gives what ExecuTorch's own runtime gives."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import torch
from torch import nn

from harness.lowering.emitted import BACKEND
from harness.lowering.from_pte import StoredProgram
from harness.lowering.graph import UnplannableGraph
from harness.lowering.program import TensorSpec
from harness.units.reference import ReferenceUnit
from harness.units.whole_program import run_program

X = torch.linspace(-1, 1, 8).reshape(2, 4)


class Mixed(nn.Module):
    """asinh is left to ExecuTorch; a number comes in, and one goes out."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.before, self.after = nn.Linear(4, 8), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor, times: int) -> Any:
        y = torch.asinh(self.before(x))
        values, indices = y.topk(2)
        return self.after(y) * times, y.sum(-1).int(), [values, indices], x.shape[0], None


def pte(module: nn.Module, inputs: tuple[Any, ...], *, delegated: bool) -> bytes:
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
def mixed() -> StoredProgram:
    return StoredProgram(pte(Mixed(), (X, 3), delegated=True))


def test_what_a_method_holds_is_told_in_order(mixed: StoredProgram) -> None:
    assert list(mixed.methods) == ["forward"]
    method = mixed.methods["forward"]
    assert method.inputs == (TensorSpec("float32", (2, 4)), 3)
    assert method.outputs == 6
    assert [one.backend for one in method.delegates] == [BACKEND, BACKEND]
    assert method.calls == (0, "aten::asinh.out", 1)
    assert method.islands == [["aten::asinh.out"]]
    assert method.missing_kernels == ()


def test_it_runs_as_it_was_lowered(mixed: StoredProgram) -> None:
    program = mixed.program("forward", {0: 1, 1: 1})
    result = run_program(program, ReferenceUnit(), [X, 3])
    right = Mixed()(X, 3)
    assert torch.allclose(result.outputs[0], right[0], atol=2e-2)
    assert torch.equal(result.outputs[1], right[1])
    assert result.outputs[4:] == [2, None]
    assert result.mil_ops["linear"] == 2


def test_kernels_give_what_the_runtime_gives() -> None:
    class Kernels(nn.Module):
        def forward(self, x: torch.Tensor, by: float) -> Any:
            y = x.transpose(0, 1).contiguous() * by
            left, right = (y + 1).split(2)
            return torch.cat([left, right], 1), y.topk(1).indices, x.double().cumsum(-1), x > 0, y.sum((0, 1))

    stored = StoredProgram(pte(Kernels(), (X, 0.5), delegated=False))
    assert stored.methods["forward"].delegates == ()
    result = run_program(stored.program("forward", {}), ReferenceUnit(), [X, 0.5])
    from executorch.runtime import Runtime

    runtime = Runtime.get().load_program(stored.pte).load_method("forward").execute([X, 0.5])
    assert len(result.outputs) == len(runtime) == 5
    for got, right in zip(result.outputs, runtime, strict=True):
        assert got.dtype == right.dtype
        assert torch.equal(got, right)


@pytest.mark.parametrize("cut", [0, 1, 100, 0.5, -1])
def test_what_is_no_whole_program_is_one_line(mixed: StoredProgram, cut: float) -> None:
    size = len(mixed.pte)
    kept = mixed.pte[: int(size * cut) if isinstance(cut, float) else cut]
    with pytest.raises(ValueError, match=r"^the \.pte cannot be read back: [^\n]+$"):
        StoredProgram(kept)


def test_an_unknown_operator_and_control_flow_cannot_be_run(mixed: StoredProgram, monkeypatch: Any) -> None:
    stored = StoredProgram(mixed.pte)
    plan = stored._plans["forward"]
    monkeypatch.setattr(plan.operators[0], "name", "mine::asinh")
    with pytest.raises(UnplannableGraph, match="an operator mine::asinh that PyTorch here does not know"):
        stored.program("forward", {0: 1, 1: 1})

    class JumpFalseCall:
        pass

    monkeypatch.setattr(plan.chains[0].instructions[1], "instr_args", JumpFalseCall())
    with pytest.raises(UnplannableGraph, match="an instruction JumpFalseCall: control flow"):
        stored.program("forward", {0: 1, 1: 1})
