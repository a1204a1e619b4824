"""A wrong answer of a module names its operator without being asked: of a user's where that takes seconds."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from harness.cases.case import Case
from harness.cases.user_forms import built_of
from harness.check import Checker
from harness.diagnosis import blame
from harness.evidence.check import Check
from harness.evidence.notes import NoteCode
from harness.evidence.vocabulary import Kind, Level, Outcome
from harness.lowering import speedups


@pytest.fixture(scope="module", autouse=True)
def _measuring():
    speedups.enable()


class Late(nn.Module):
    """Wrong at its third operator: the converter of softplus leaves the threshold out."""

    def forward(self, x):
        y = x * 2
        z = F.softplus(y, beta=3.0, threshold=0.2)
        return z + 1


class Grows(nn.Module):
    def forward(self, x):
        return (x * x).sum(-1).sqrt()


def checked(module, inputs, recipe="fp32-ios18", kind=Kind.USER):
    case = Case(
        id="check/mine/model",
        kind=kind,
        op="user.model",
        api="model",
        dtype="mixed",
        origin="user file",
        level=Level.SMOKE,
        build=lambda: built_of((module, inputs), "mine.py::model", 0),
        whole_model=True,
        named=False,
    )
    return Checker().check(Check.of(case, recipe, "reference"))


def told(record):
    return {note.code: note.detail for note in record.notes}


def test_the_operator_and_its_line():
    record = checked(Late(), (torch.rand(8, 4),))
    assert record.outcome is Outcome.WRONG_VALUE
    assert told(record)[NoteCode.OPERATOR] == "aten.softplus.default"
    assert told(record)[NoteCode.SOURCE].endswith("in forward: z = F.softplus(y, beta=3.0, threshold=0.2)")
    assert NoteCode.EAGER_TOO not in told(record)


def test_what_eager_does_not_survive_either_is_said():
    record = checked(Grows(), (torch.full((2, 4), 300.0),), "fp16-ios18")
    assert record.outcome is Outcome.OUT_OF_RANGE
    assert "float16" in told(record)[NoteCode.EAGER_TOO]
    right = checked(Grows(), (torch.full((2, 4), 3.0),), "fp16-ios18")
    assert right.outcome is Outcome.PASS
    assert NoteCode.EAGER_TOO not in told(right)


def test_what_takes_long_is_left_to_who_asks(monkeypatch):
    monkeypatch.setattr(blame, "SECONDS", 0.0)
    record = checked(Late(), (torch.rand(8, 4),))
    assert record.outcome is Outcome.WRONG_VALUE
    assert NoteCode.OPERATOR not in told(record)


def test_a_model_names_its_operator_whatever_that_takes(monkeypatch):
    monkeypatch.setattr(blame, "SECONDS", 0.0)
    record = checked(Late(), (torch.rand(8, 4),), kind=Kind.MODEL)
    assert told(record)[NoteCode.OPERATOR] == "aten.softplus.default"


def test_a_fault_of_localising_costs_no_record(monkeypatch):
    def fails(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(blame, "localise", fails)
    assert checked(Late(), (torch.rand(8, 4),)).outcome is Outcome.WRONG_VALUE


def test_how_long_is_told_by_the_lowering():
    from harness.lowering.lower import Lowered

    assert blame.is_worthwhile(Kind.USER, Lowered(timing={"lower": 0.5}))
    assert not blame.is_worthwhile(Kind.USER, dataclasses.replace(Lowered(), timing={"lower": 60.0}))
    assert not blame.is_worthwhile(Kind.USER, Lowered())
    assert blame.is_worthwhile(Kind.MODEL, Lowered(timing={"lower": 60.0}))
    assert not blame.is_worthwhile(Kind.OPERATOR, Lowered(timing={"lower": 0.5}))
