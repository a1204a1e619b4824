"""What the tables here are made of: a user's function, and what its records have to say in both precisions."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import nn

from harness.cases.case import Case
from harness.cases.user_forms import built_of
from harness.check import Checker
from harness.diagnosis import blame
from harness.evidence.causes import Causes, read_causes
from harness.evidence.check import Check
from harness.evidence.notes import NoteCode
from harness.evidence.record import Record
from harness.evidence.vocabulary import WORKING, Kind, Level, Outcome

RECIPES = ("fp32-ios18", "fp16-ios18")
SOFTPLUS = functools.partial(nn.functional.softplus, beta=3.0, threshold=0.2)  #: its converter drops the threshold


class Call(nn.Module):
    """A module that calls a function; keywords are its buffers, passed behind the inputs."""

    def __init__(self, function: Callable[..., Any], **buffers: torch.Tensor) -> None:
        super().__init__()
        self.function, self.names = function, tuple(buffers)
        for name, value in buffers.items():
            self.register_buffer(name, value)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, *(getattr(self, name) for name in self.names), **kwargs)


@dataclass(frozen=True)
class Row:
    """`make` gives what a user's function returns; `fp16` is the outcome in fp16, where it is another.

    What is not empty is looked for in the records, where one precision fails in that one's: the operator that it is put
    down to, a part of its line, the cause, the load rule, a part of the reason, and codes of notes.
    """

    make: Callable[[], object]
    fp32: Outcome
    fp16: Outcome | None = None
    operator: str = ""
    source: str = ""
    cause: str = ""
    rule: str = ""
    reason: str = ""
    notes: tuple[NoteCode, ...] = ()

    def expected(self, recipe: str) -> Outcome:
        return self.fp16 if self.fp16 is not None and recipe.startswith("fp16") else self.fp32


def case_of(make: Callable[[], object], name: str = "module") -> Case:
    def build() -> Any:
        torch.manual_seed(0)
        return built_of(make(), f"mine.py::{name}", 0)

    return Case(
        id=f"check/mine/{name}",
        kind=Kind.USER,
        op=f"user.{name}",
        api=name,
        dtype="mixed",
        origin="user file",
        level=Level.SMOKE,
        build=build,
        whole_model=True,
        named=False,
    )


@functools.cache
def causes() -> Causes:
    return Causes(read_causes())


def records(make: Callable[[], object] | Case, checker: Checker | None = None) -> dict[str, Record]:
    """By recipe, with causes named. A checker that has seen the case before lowers it no more."""
    checker, case = checker or Checker(), make if isinstance(make, Case) else case_of(make)
    return {recipe: causes().name(checker.check(Check.of(case, recipe, "reference"))) for recipe in RECIPES}


def told(record: Record, code: NoteCode) -> str:
    return "\n".join(note.detail for note in record.notes if note.code is code)


def hold(row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    """Check a row. What puts an outcome down to an operator lowers again: only where the row asks for it."""
    if not (row.operator or row.source or row.cause):
        monkeypatch.setattr(blame, "SECONDS", 0.0)
    failing = not {row.fp32, row.fp16 or row.fp32} <= WORKING
    for recipe, record in records(row.make).items():
        said = f"{recipe}: {record.outcome} {record.reason} {record.error} {record.notes}"
        assert record.outcome is row.expected(recipe), said
        if failing and record.outcome in WORKING:
            continue  # where one precision fails, the words are about that
        assert row.operator in ("", told(record, NoteCode.OPERATOR)), said
        assert row.source in told(record, NoteCode.SOURCE), said
        assert row.cause in ("", record.cause), f"{record.cause}: {said}"
        if record.outcome is Outcome.LOAD_ERROR:
            assert told(record, NoteCode.LOAD_RULE) == row.rule, said
        assert row.reason in record.reason, said
        for code in row.notes:
            assert told(record, code), f"{code}: {said}"
