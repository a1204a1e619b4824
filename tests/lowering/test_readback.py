"""The emitted file holds what was lowered, and a file that does not is told."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from harness.cases.case import Built
from harness.lowering.lower import Lowered, export, lower
from harness.lowering.readback import read_back
from harness.lowering.recipe import Recipe


class Partly(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.asinh(torch.sin(x)), x + 1


@pytest.fixture(scope="module")
def lowered() -> Lowered:
    found = lower(export(Built(Partly().eval(), (torch.ones(2, 3),), 0)), Recipe.parse("fp16-ios18"))
    assert found.program is not None
    return found


def test_what_was_emitted_is_read_back(lowered: Lowered) -> None:
    assert lowered.program is not None
    assert read_back(lowered.pte, lowered.program) is None


def test_a_cut_file_is_told(lowered: Lowered) -> None:
    assert lowered.program is not None
    problem = read_back(lowered.pte[: len(lowered.pte) // 2], lowered.program)
    assert problem is not None
    assert problem.startswith(("the .pte cannot be read back", "the .pte does not hold delegate 0"))


def test_another_delegate_is_told(lowered: Lowered) -> None:
    assert lowered.program is not None
    other = replace(lowered.program.delegates[0], processed=b"another package")
    program = replace(lowered.program, delegates=(other,))
    assert read_back(lowered.pte, program) == "the .pte does not hold delegate 0 of 1"


def test_another_number_of_inputs_is_told(lowered: Lowered) -> None:
    assert lowered.program is not None
    program = replace(lowered.program, inputs=lowered.program.inputs * 2)
    assert read_back(lowered.pte, program) == "the .pte takes 1 inputs, the program 2"
