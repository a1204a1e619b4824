"""The corridor with modules that write to their buffers: what is left there decides, too."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from harness.cases import find, state
from harness.cases.case import Built
from harness.check import Checker
from harness.evidence.causes import Causes, read_causes
from harness.evidence.check import Check
from harness.evidence.notes import Note, NoteCode
from harness.evidence.recipe import Recipe
from harness.evidence.record import Record
from harness.evidence.vocabulary import Outcome, Phase
from harness.lowering import speedups
from harness.lowering.lower import export, lower
from harness.units.executorch import ExecuTorchUnit
from harness.units.reference import OpenReference, ReferenceUnit

FP16, FP32 = Recipe.parse("fp16-ios18"), Recipe.parse("fp32-ios18")


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    torch.set_num_threads(1)
    speedups.enable()
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture(scope="module")
def checker() -> Checker:
    return Checker()


def check(checker: Checker, name: str, recipe: Recipe = FP16) -> Record:
    return checker.check(Check.of(find.find(f"state/{name}/float32/seed-0"), recipe, "reference"))


def test_a_value_left_in_a_state_is_judged(checker: Checker, monkeypatch: pytest.MonkeyPatch) -> None:
    for recipe in (FP16, FP32):
        record = check(checker, "total-unread", recipe)
        assert record.outcome is Outcome.PASS, record.reason
    read_state = OpenReference.read_state

    def off_by_one(self: OpenReference) -> dict[str, np.ndarray]:
        return {name: value + np.float16(1) for name, value in read_state(self).items()}

    monkeypatch.setattr(OpenReference, "read_state", off_by_one)
    record = check(checker, "total-unread")
    assert (record.outcome, record.phase) == (Outcome.WRONG_VALUE, Phase.VALUE)
    assert record.reason.startswith("buffer total[")
    assert record.numerics is not None
    assert str(record.numerics.at).startswith("buffer total[")
    monkeypatch.setattr(OpenReference, "read_state", lambda self: {})
    record = check(checker, "total-unread")
    assert record.reason == "buffer total: what is written to it is lost, the package has no state for it"


def test_a_counter_in_a_float16_state_is_exact(checker: Checker, monkeypatch: pytest.MonkeyPatch) -> None:
    assert check(checker, "counter").outcome is Outcome.PASS
    monkeypatch.setattr(OpenReference, "read_state", lambda self: {"calls": np.zeros(1, np.float16)})
    assert check(checker, "counter").reason.startswith("buffer calls[0]: got 0, expected 1 exactly")


def test_a_first_value_other_than_zero_is_lost(checker: Checker) -> None:
    """As on the runtime, which makes a state of zeros and writes nothing to it."""
    record = check(checker, "total-unread-from-3")
    assert (record.outcome, record.phase) == (Outcome.WRONG_VALUE, Phase.VALUE)
    assert record.reason.startswith("buffer total[")


def test_an_output_that_is_wrong_speaks_first(checker: Checker) -> None:
    assert check(checker, "total-from-3").reason.startswith("output 0[")


def test_what_falls_back_is_no_state(checker: Checker, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(OpenReference, "read_state", lambda self: asked.append(self) or {})
    record = checker.check(Check.of(find.find("ops/aten.gelu.default/float32/opinfo-d30834"), FP16, "reference"))
    assert record.outcome is not Outcome.NOT_RUN
    assert asked == []


def test_before_ios18_state_is_refused_and_buffers_left_to_executorch_work(checker: Checker) -> None:
    recipe = Recipe.parse("fp16-ios17")
    taken = check(checker, "total", recipe)
    cause = Causes(read_causes()).cause_of(taken)
    assert (taken.outcome, taken.phase) == (Outcome.CONVERT_ERROR, Phase.CONVERT)
    assert cause is not None
    assert cause.cause == "state-before-ios18"
    left = find.find(f"state/total/float32/{state.LEFT}=False")
    assert checker.check(Check.of(left, recipe, "reference")).outcome is Outcome.PASS


def test_a_buffer_left_to_executorch_begins_at_zero_as_its_runtime_has_it(checker: Checker) -> None:
    record = checker.check(Check.of(find.find(f"state/total-from-3/float32/{state.LEFT}=False"), FP16, "reference"))
    assert record.outcome is Outcome.WRONG_VALUE
    assert Note(NoteCode.STATE_NOT_ZERO, "total") in record.notes

    class Total(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("total", torch.full((3,), 3.0))

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            self.total.copy_(torch.asinh(torch.asinh(self.total)))  # which Core ML does not take
            return torch.asinh(self.total), torch.asinh(x)

    found = lower(export(Built(Total().eval(), (torch.ones(3),), 0)), FP16)
    emitted = found.emitted
    assert emitted is not None
    assert not emitted.program.delegated_ops
    units = (ExecuTorchUnit(), ReferenceUnit())
    real, ours = (unit.run(emitted, [torch.ones(3)], then=[[torch.ones(3)]]) for unit in units)
    torch.testing.assert_close(ours.outputs, real.outputs)
    torch.testing.assert_close(ours.then[0].outputs, real.then[0].outputs)
