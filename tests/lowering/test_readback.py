"""The emitted file holds what was lowered, and a file that does not is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from harness.lowering.emitted import read, with_compute_unit
from harness.lowering.lower import Lowered
from harness.lowering.program import LoweredProgram, TensorSpec
from harness.lowering.readback import read_back, written


class Partly(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.asinh(torch.sin(x)), x + 1


class FellBack(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.asinh(x)


@pytest.fixture(scope="module")
def partly(lowered: Callable[..., Lowered]) -> Lowered:
    return lowered(Partly(), torch.ones(2, 3), recipe="fp16-ios18")


def problem(pte: bytes, program: LoweredProgram | None, compute_unit: str = "") -> str | None:
    assert program is not None
    with written(pte) as path:
        found = read_back(path, program, compute_unit)
    assert not path.exists()
    return found


def test_what_was_emitted_is_read_back(partly: Lowered) -> None:
    assert problem(partly.pte, partly.program) is None


def test_a_program_without_delegates_needs_no_segments(lowered: Callable[..., Lowered]) -> None:
    found = lowered(FellBack(), torch.ones(2))
    assert problem(found.pte, found.program) is None


def test_a_dynamic_dimension_says_nothing(exported: Callable[..., Any]) -> None:
    from harness.evidence.recipe import Recipe
    from harness.lowering.lower import lower

    shapes = ({0: torch.export.Dim("n", min=2, max=5)},)
    found = lower(exported(Partly(), torch.ones(3, 2), dynamic_shapes=shapes), Recipe.parse("fp16-ios18"))
    assert problem(found.pte, found.program) is None


def test_a_file_that_is_cut_is_told(partly: Lowered) -> None:
    assert "cannot be read back" in str(problem(partly.pte[: len(partly.pte) // 2], partly.program))
    assert "cannot be read back" in str(problem(b"", partly.program))


def test_a_file_with_something_behind_it_is_told(partly: Lowered) -> None:
    length = len(partly.pte)
    assert (
        problem(partly.pte + b"!", partly.program) == f"the .pte has {length + 1} bytes, its header speaks of {length}"
    )


def test_a_file_without_segments_is_told(partly: Lowered, lowered: Callable[..., Lowered]) -> None:
    found = lowered(FellBack(), torch.ones(2, 3))
    assert problem(found.pte, partly.program) == "the .pte has no extended header, so no delegate's data"


@pytest.mark.parametrize("unit", ["cpu_only", "cpu_and_gpu", "cpu_and_ne", "all"])
def test_the_compute_unit_in_the_file_is_the_one_asked_for(partly: Lowered, unit: str) -> None:
    pte = with_compute_unit(partly.pte, unit)
    assert problem(pte, partly.program, unit) is None
    other = "cpu_only" if unit != "cpu_only" else "all"
    told = f"the .pte's delegate 0 has compute_units {unit.encode()!r}, not {other.encode()!r}"
    assert problem(pte, partly.program, other) == told


def changed(program: LoweredProgram | None, **fields: Any) -> LoweredProgram:
    assert program is not None
    return replace(program, **fields)


def test_what_differs_is_told(partly: Lowered) -> None:
    program = partly.program
    assert program is not None
    first = program.delegates[0]

    def with_delegate(**fields: Any) -> LoweredProgram:
        return changed(program, delegates=(replace(first, **fields), *program.delegates[1:]))

    assert problem(partly.pte, with_delegate(processed=b"another")) == "the .pte does not hold delegate 0 of 1"
    precision = tuple((k, b"float32" if k == "model_compute_precision" else v) for k, v in first.compile_specs)
    assert problem(partly.pte, with_delegate(compile_specs=precision)) == (
        "the .pte's delegate 0 has model_compute_precision b'float16', not b'float32'"
    )
    assert problem(partly.pte, changed(program, steps=())) == "the .pte calls 1 delegates, the program 0"
    assert problem(partly.pte, changed(program, method="decode")) == "the .pte has no method decode (it has forward)"
    assert problem(partly.pte, changed(program, inputs=program.inputs * 2)) == (
        "the .pte takes 1 inputs, the program 2"
    )
    wider = replace(program.inputs[0], spec=TensorSpec("float32", (2, 4)))
    assert problem(partly.pte, changed(program, inputs=(wider,))) == (
        "the .pte's input 0 has shape (2, 3), the program's (2, 4)"
    )
    half = replace(program.inputs[0], spec=TensorSpec("float16", (2, 3)))
    assert problem(partly.pte, changed(program, inputs=(half,))) == (
        "the .pte's input 0 is of FLOAT, the program's of float16"
    )
    assert problem(partly.pte, changed(program, outputs=program.outputs[:1])) == (
        "the .pte returns 2 values, the program 1"
    )
    integers = tuple(replace(spec, dtype="int32") for spec in first.outputs if spec is not None)
    assert problem(partly.pte, with_delegate(outputs=integers)) == (
        "the .pte's output 1 is of FLOAT, the program's of int32"
    )


def test_a_delegate_of_another_backend_is_told(partly: Lowered, monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.lowering import readback

    def foreign(pte: bytes) -> Any:
        file = read(pte)
        file.program.execution_plan[0].delegates[0].id = "XnnpackBackend"
        return file

    monkeypatch.setattr(readback, "read", foreign)
    assert problem(partly.pte, partly.program) == "the .pte's delegate 0 is of backend XnnpackBackend"
