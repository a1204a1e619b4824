"""What running a program again tells: by other readings of what no documentation settles, and with floats widened."""

import logging

import pytest
import torch

from harness.cases.case import Built, Case
from harness.diagnosis.reruns import most_favourable, precision_note, wrong_by_another
from harness.evidence.notes import NoteCode
from harness.evidence.recipe import Recipe
from harness.evidence.vocabulary import Kind, Level, Outcome
from harness.lowering import speedups
from harness.lowering.lower import export, lower
from harness.units.base import ProgramResult
from harness.units.reference import ReferenceUnit
from harness.verdict.judge import question
from harness.verdict.oracle import truth
from harness.verdict.stage import RIGHT_WHEN_WIDENED, STILL_WRONG


@pytest.fixture(scope="module", autouse=True)
def _measuring():
    speedups.enable()


@pytest.fixture(autouse=True)
def _quiet():
    """The measured packages log every node they look at."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


class Calls(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *inputs):
        return self.function(*inputs)


def lowered(function, *inputs, recipe="fp32-ios18"):
    """The question about a module's program, the program, and its answer by the reading taken."""
    built = Built(Calls(function), inputs, 0)
    case = Case(
        id="check/tests/rerun",
        kind=Kind.OPERATOR,
        op="aten.relu.default",
        api="made",
        dtype="float32",
        origin="test",
        level=Level.SMOKE,
        build=lambda: built,
    )
    chosen = Recipe.parse(recipe)
    program = lower(export(built), chosen)
    asked = question(case, built, truth(built.module, inputs), chosen, program, program.program)
    return asked, program.emitted, ReferenceUnit().run(program.emitted, list(inputs))


NAN = torch.tensor([1.0, float("nan"), -1.0])


def test_a_program_without_open_semantics_is_right_by_every_reading():
    asked, emitted, _ = lowered(lambda x: x * 2, torch.ones(3))
    assert wrong_by_another([asked], emitted) == ""


def test_what_is_right_by_one_reading_alone_is_wrong_by_another():
    """No documentation says whether relu lets NaN through."""
    asked, emitted, result = lowered(torch.relu, NAN)
    assert any(note.code is NoteCode.UNDOCUMENTED for note in result.notes)
    assert "output 0[1]" in wrong_by_another([asked], emitted)


def test_the_most_favourable_reading_is_judged_element_by_element():
    asked, emitted, result = lowered(torch.relu, NAN)
    lost = ProgramResult([torch.tensor([1.0, 0.0, 0.0])], result.mil_ops)  # as a maximum that ignores NaN gives it
    assert most_favourable([asked], emitted, lost).verdict.outcome is Outcome.PASS


def test_a_defect_beside_an_open_semantic_is_wrong_by_the_most_favourable_reading_too():
    def both(x, y):
        return torch.relu(x), torch.reciprocal(y)  # an epsilon is added to y

    asked, emitted, result = lowered(both, NAN, torch.full((3,), 0.01))
    found = most_favourable([asked], emitted, result).verdict
    assert found.outcome is Outcome.WRONG_VALUE
    assert found.reason.startswith("output 1")


def test_a_program_that_does_not_run_again_tells_nothing():
    asked, _, result = lowered(torch.relu, NAN)
    assert most_favourable([asked], None, result) is None
    assert wrong_by_another([asked], None) == ""
    assert precision_note([asked], None).code is NoteCode.NOT_WIDENED


@pytest.mark.parametrize(
    ("function", "value", "note"),
    [
        (lambda x: (x * x) / x, 1000.0, RIGHT_WHEN_WIDENED),  # the square overflows in fp16
        (torch.reciprocal, 0.01, STILL_WRONG),  # an epsilon is added to x
    ],
)
def test_with_every_float_widened(function, value, note):
    asked, emitted, _ = lowered(function, torch.full((3,), value), recipe="fp16-ios18")
    assert precision_note([asked], emitted) == note
