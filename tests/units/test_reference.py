"""The reference unit on real packages, and each of its refusals."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

import numpy as np
import pytest
import torch

from harness import mil
from harness.cases.case import Built
from harness.evidence.notes import NoteCode
from harness.evidence.recipe import Recipe
from harness.lowering.lower import export, lower
from harness.lowering.program import UnpackedDelegate
from harness.mil.context import (
    DIVISION_BY_ZERO,
    DUPLICATE_INDEX,
    INDEX_OUT_OF_RANGE,
    INTEGER_OVERFLOW,
    NAN_TO_INTEGER,
    NON_FINITE,
    RANDOM,
    UNDOCUMENTED,
)
from harness.mil.kernels import KERNELS
from harness.units import reference
from harness.units.base import Feature, LoadFailed, NotRunnable, PredictFailed, ProgramContradiction
from harness.units.reference import ReferenceUnit

X = np.array([1.0, 2.0, 3.0], np.float32)


class Subtract(torch.nn.Module):
    def forward(self, first: torch.Tensor, second: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return first - second, first.sum() > second.sum()


@pytest.fixture(scope="module", params=["fp32-ios18", "fp16-ios18"])
def delegate(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> UnpackedDelegate:
    logging.disable(logging.WARNING)
    inputs = (torch.ones(3), torch.ones(3))
    program = lower(export(Built(Subtract(), inputs, 0)), Recipe.parse(request.param)).program
    logging.disable(logging.NOTSET)
    assert program is not None
    return program.delegates[0].unpack(tmp_path_factory.mktemp("delegate"))


def test_it_runs_everywhere() -> None:
    assert ReferenceUnit().unavailable("iOS18") is None


def test_inputs_and_outputs_go_by_position_of_the_metadata(delegate: UnpackedDelegate) -> None:
    opened = ReferenceUnit().open(delegate)
    assert [f.name for f in opened.features] == list(delegate.input_names) == ["first", "second"]
    assert [(f.dtype, f.shape) for f in opened.features] == [("float32", (3,))] * 2
    difference, greater = opened.predict([X, 10 * X]).outputs
    np.testing.assert_array_equal(difference, X - 10 * X)
    assert greater.shape == (1,)
    assert not greater.any()
    assert opened.mil_ops["sub"] == 1
    assert opened.placement == {}
    opened.close()


def test_reordered_metadata_reorders_the_arguments(delegate: UnpackedDelegate) -> None:
    turned = dataclasses.replace(
        delegate, input_names=delegate.input_names[::-1], output_names=delegate.output_names[::-1]
    )
    _, difference = ReferenceUnit().open(turned).predict([X, 10 * X]).outputs
    np.testing.assert_array_equal(difference, 10 * X - X)


def test_the_mode_is_the_interpreters(delegate: UnpackedDelegate) -> None:
    """1/3 is no fp16 value: the exact mode keeps what the wide one rounds in an fp16 program."""
    third = np.full(3, 1 / 3, np.float32)
    exact = ReferenceUnit(mil.EXACT).open(delegate).predict([third, 0 * X]).outputs[0]
    np.testing.assert_allclose(exact, third, rtol=1e-7)
    wide = ReferenceUnit().open(delegate).predict([third, 0 * X]).outputs[0]
    rounded = third.astype(np.float16) if wide.dtype == np.float16 else third
    np.testing.assert_array_equal(wide, rounded)


def test_an_output_the_program_lacks(delegate: UnpackedDelegate) -> None:
    opened = ReferenceUnit().open(dataclasses.replace(delegate, output_names=(*delegate.output_names, "more")))
    with pytest.raises(ProgramContradiction, match="does not return more"):
        opened.predict([X, X])


def test_an_input_the_package_lacks(delegate: UnpackedDelegate) -> None:
    with pytest.raises(ProgramContradiction, match="lacks: more"):
        ReferenceUnit().open(dataclasses.replace(delegate, input_names=("first", "more")))


def test_no_package(tmp_path: Path, delegate: UnpackedDelegate) -> None:
    with pytest.raises(LoadFailed):
        ReferenceUnit().open(dataclasses.replace(delegate, package=tmp_path))


def test_an_operator_without_a_kernel_is_no_finding(
    delegate: UnpackedDelegate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(KERNELS, "sub")
    with pytest.raises(NotRunnable, match="no kernel for MIL sub"):
        ReferenceUnit().open(delegate)


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (mil.InvalidProgram("sub", "out", "declared (3,), got (4,)"), ProgramContradiction),
        (mil.MissingKernel(["sub"], []), NotRunnable),
        (mil.MilError("it does not compute"), PredictFailed),
    ],
)
def test_the_interpreters_refusals(
    raised: Exception, expected: type[Exception], delegate: UnpackedDelegate, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = ReferenceUnit().open(delegate)

    def fail(*_args: object, **_kwargs: object) -> None:
        raise raised

    monkeypatch.setattr(mil.Model, "run", fail)
    with pytest.raises(expected):
        opened.predict([X, X])


def test_a_feature_of_an_unknown_type_cannot_be_judged() -> None:
    with pytest.raises(NotRunnable, match="STRING"):
        reference._feature(mil.Feature("x", "STRING", (1,)))


def test_a_shape_left_open_is_none() -> None:
    assert reference._feature(mil.Feature("x", "FLOAT32", ())).shape is None
    assert reference._feature(mil.Feature("x", "FLOAT16", (2,))) == Feature("x", "float16", (2,))


@pytest.mark.parametrize(
    ("kind", "marked"),
    [(UNDOCUMENTED, True), (RANDOM, True), (INDEX_OUT_OF_RANGE, True), (DIVISION_BY_ZERO, True)]
    + [(NAN_TO_INTEGER, True), (INTEGER_OVERFLOW, True), (NON_FINITE, False), (DUPLICATE_INDEX, False)],
)
def test_notes_say_where_the_documentation_is_silent(kind: str, marked: bool) -> None:
    note = reference._note(mil.Diagnostic(kind, "topk", "values", "two equal values"))
    assert (note.code is NoteCode.UNDOCUMENTED) is marked
    assert str(note).startswith("undocumented semantics") is marked
    assert marked or str(note.code) == kind
    assert "topk" in str(note)
    assert "two equal values" in str(note)


class Counter(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("total", torch.zeros(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.total.add_(x)
        return self.total * 1.0


def test_state_lasts_as_long_as_the_package_is_open(tmp_path: Path) -> None:
    logging.disable(logging.WARNING)
    program = lower(export(Built(Counter(), (torch.ones(3),), 0)), Recipe.parse("fp32-ios18")).program
    logging.disable(logging.NOTSET)
    assert program is not None
    unpacked = program.delegates[0].unpack(tmp_path)
    opened = ReferenceUnit().open(unpacked)
    for expected in (X, 2 * X, 3 * X):
        np.testing.assert_array_equal(opened.predict([X]).outputs[0], expected)
    np.testing.assert_array_equal(ReferenceUnit().open(unpacked).predict([X]).outputs[0], X)
