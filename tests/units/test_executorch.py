from __future__ import annotations

import sys

import pytest
import torch

from harness.cases.case import Built
from harness.lowering.lower import export, lower
from harness.lowering.recipe import Recipe
from harness.units import executorch, host
from harness.units.base import LoadFailed, NotRunnable, PredictFailed
from harness.units.executorch import ExecuTorchUnit

INPUT = torch.tensor([[0.5, -1.0, 2.0], [0.0, 0.25, -3.0]])


class Asinh(torch.nn.Module):
    """Core ML has no asinh: the operator falls back, and the program has no delegate."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.asinh(x), torch.asinh(torch.asinh(x))


class Double(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 2


def pte_of(module: torch.nn.Module) -> bytes:
    result = lower(export(Built(module.eval(), (INPUT,), seed=0)), Recipe.parse("fp32-ios18"))
    assert result.failure is None, result.failure
    return result.pte


@pytest.fixture(scope="module")
def fallen_back() -> bytes:
    return pte_of(Asinh())


@pytest.fixture(scope="module")
def delegated() -> bytes:
    return pte_of(Double())


def test_a_program_that_fell_back_entirely_runs_anywhere(fallen_back: bytes) -> None:
    assert executorch.BACKEND.encode() not in fallen_back
    outputs = ExecuTorchUnit().run_pte(fallen_back, [INPUT])
    torch.testing.assert_close(outputs, list(Asinh()(INPUT)))


def test_outputs_are_copies(fallen_back: bytes) -> None:
    unit = ExecuTorchUnit()
    first = unit.run_pte(fallen_back, [INPUT])
    unit.run_pte(fallen_back, [INPUT * 2])
    torch.testing.assert_close(first, list(Asinh()(INPUT)))


def test_inputs_need_not_be_contiguous(fallen_back: bytes) -> None:
    outputs = ExecuTorchUnit().run_pte(fallen_back, [INPUT.T.contiguous().T])
    torch.testing.assert_close(outputs, list(Asinh()(INPUT)))


@pytest.mark.skipif(sys.platform == "darwin", reason="the macOS wheel registers CoreMLBackend")
def test_a_delegated_program_names_the_missing_backend(delegated: bytes) -> None:
    unit = ExecuTorchUnit()
    registered = executorch.registered_backends()
    assert registered
    with pytest.raises(NotRunnable) as caught:
        unit.run_pte(delegated, [INPUT])
    assert str(caught.value) == unit.unavailable("iOS18")
    assert f"no CoreMLBackend (registered: {', '.join(sorted(registered))})" in str(caught.value)


@pytest.mark.skipif(sys.platform == "darwin", reason="the macOS wheel registers CoreMLBackend")
def test_the_runtime_itself_refuses_it(delegated: bytes, monkeypatch) -> None:
    """What our own look into the bytes spares the user: an error number, and the reason on another channel."""
    monkeypatch.setattr(executorch, "registered_backends", lambda: [executorch.BACKEND])
    with pytest.raises(LoadFailed) as caught:
        ExecuTorchUnit().run_pte(delegated, [INPUT])
    assert "0x:20" in str(caught.value)
    assert "Backend CoreMLBackend is not registered" in str(caught.value)


def test_a_delegated_program_runs_where_the_backend_is(delegated: bytes) -> None:
    if reason := ExecuTorchUnit().unavailable("iOS18"):
        pytest.skip(reason)
    torch.testing.assert_close(ExecuTorchUnit().run_pte(delegated, [INPUT]), [INPUT * 2])


def test_the_system_is_asked_after_the_runtime(monkeypatch) -> None:
    monkeypatch.setattr(executorch, "registered_backends", lambda: [executorch.BACKEND])
    monkeypatch.setattr(host, "macos_version", lambda: (14, 7))
    unit = ExecuTorchUnit()
    assert unit.unavailable("iOS17") is None
    assert unit.unavailable("iOS18") == "an iOS18 program needs macOS 15 or later; this is macOS 14.7"


def test_bytes_that_are_no_program() -> None:
    with pytest.raises(LoadFailed, match="Program identifier"):
        ExecuTorchUnit().run_pte(b"no program at all" * 100, [])


def test_a_wrong_input_is_a_failed_prediction(fallen_back: bytes) -> None:
    with pytest.raises(PredictFailed, match=r"resize|Expected shape"):
        ExecuTorchUnit().run_pte(fallen_back, [torch.zeros(2, 4)])
    with pytest.raises(PredictFailed):
        ExecuTorchUnit().run_pte(fallen_back, [])
