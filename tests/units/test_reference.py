"""The reference unit on real packages, and each of its refusals."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from harness import mil
from harness.cases.case import Built, Case, Method
from harness.check import check
from harness.evidence.check import Check
from harness.evidence.notes import NoteCode
from harness.evidence.recipe import Recipe
from harness.evidence.record import Record
from harness.evidence.vocabulary import Kind, Level, Outcome, Phase
from harness.lowering import speedups
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


@pytest.fixture(scope="module", autouse=True)
def _measuring() -> None:
    torch.set_num_threads(1)
    speedups.enable()


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


# --- what Core ML's loader refuses


def padding(mode: str, *pad: int) -> Callable[..., Any]:
    return lambda x: torch.nn.functional.pad(x, pad, mode=mode)


class Called(torch.nn.Module):
    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *tensors: torch.Tensor) -> Any:
        return self.function(*tensors)


class Remembering(torch.nn.Module):
    """Pads a volume, and adds to a buffer: a program with a state."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("total", torch.zeros(1, 2, 3, 3, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.total.add_(x)
        return torch.nn.functional.pad(self.total * 1.0, (1, 1, 1, 1, 1, 1), mode="replicate")


def judged(module: torch.nn.Module | Callable[..., Any], recipe: str, *inputs: torch.Tensor, **built: Any) -> Record:
    module = module if isinstance(module, torch.nn.Module) else Called(module)
    about = {"kind": Kind.USER, "op": "made", "api": "made", "dtype": "float32", "origin": "tests"}
    case = Case(
        id="check/tests/made",
        level=Level.SMOKE,
        build=lambda: Built(module.eval(), inputs, 7, **built),
        **about,
    )
    logging.disable(logging.WARNING)
    try:
        return check(Check.of(case, recipe, "reference"))
    finally:
        logging.disable(logging.NOTSET)


VOLUME, IMAGE = torch.rand(1, 2, 3, 3, 3), torch.rand(1, 3, 6, 6)
PADDED, WIDER = "pad-before-the-last-two-dimensions", "pad-wider-than-the-dimension"
REFUSED: dict[str, tuple[str, torch.nn.Module | Callable[..., Any], torch.Tensor]] = {
    "reflection of a volume": (PADDED, torch.nn.ReflectionPad3d(1), torch.rand(1, 2, 4, 4, 4)),
    "replication of a volume": (PADDED, torch.nn.ReplicationPad3d((1, 0, 2, 0, 0, 1)), VOLUME),
    "depth alone": (PADDED, padding("replicate", 0, 0, 0, 0, 1, 1), VOLUME),
    "depth of a volume without batch": (PADDED, padding("reflect", 0, 0, 1, 1, 2, 2), torch.rand(1, 3, 3, 3)),
    "between a convolution and a linear layer": (
        PADDED,
        torch.nn.Sequential(torch.nn.Conv3d(2, 2, 1), torch.nn.ReflectionPad3d(1), torch.nn.Linear(5, 2)),
        VOLUME,
    ),
    "with a state": (PADDED, Remembering(), VOLUME),
    "replication wider than the image": (WIDER, padding("replicate", 7, 0), torch.rand(1, 2, 6)),
    "replication higher than the image": (WIDER, torch.nn.ReplicationPad2d((0, 0, 0, 4)), torch.rand(1, 2, 3, 5)),
    "replication of one element": (WIDER, torch.nn.ReplicationPad1d(2), torch.rand(1, 2, 1)),
}


@pytest.mark.parametrize("recipe", ["fp32-ios18", "fp16-ios18"])
@pytest.mark.parametrize("what", REFUSED)
def test_a_program_that_core_ml_does_not_load(what: str, recipe: str) -> None:
    rule, module, x = REFUSED[what]
    record = judged(module, recipe, x)
    assert (record.outcome, record.phase) == (Outcome.LOAD_ERROR, Phase.LOAD)
    assert record.load_rules == [rule]
    assert record.error is not None
    assert (record.error.type, record.error.signature) == ("LoadRuleBroken", f"LoadRuleBroken: {rule}")
    source = next(row.sources[0] for row in mil.LOAD_RULES if row.name == rule)
    assert all(said in record.error.message for said in (rule, "pad -> ", source))
    assert Record.from_json(record.to_json()) == record


def unfolded(reduce: Callable[[torch.Tensor], Any]) -> Callable[[torch.Tensor], Any]:
    """ExecuTorch keeps `unfold`, and hands the delegate what it gives: two dimensions more."""
    return lambda x: reduce(x.unfold(2, 4, 2).unfold(3, 4, 2))


#: A delegate's input of six dimensions. An fp16 program casts it at once, which the converter refuses.
SIX_DIMENSIONS: dict[str, tuple[Callable[..., Any], tuple[torch.Tensor, ...]]] = {
    "the sum of patches": (unfolded(lambda x: x.sum((-1, -2))), (IMAGE,)),
    "the largest of patches": (unfolded(lambda x: x.amax((-1, -2, 1))), (IMAGE,)),
    "patches in a row": (unfolded(lambda x: x.reshape(3, -1)), (IMAGE,)),
    "one of several inputs": (
        lambda x, y: (x.unfold(2, 4, 2).unfold(3, 4, 2).mean((-1, -2)) + 1.0) * y,
        (IMAGE, torch.rand(2)),
    ),
}


@pytest.mark.parametrize("what", SIX_DIMENSIONS)
def test_an_input_of_six_dimensions(what: str) -> None:
    function, inputs = SIX_DIMENSIONS[what]
    exact, half = (judged(function, recipe, *inputs) for recipe in ("fp32-ios18", "fp16-ios18"))
    assert (exact.outcome, exact.phase, exact.load_rules) == (
        Outcome.LOAD_ERROR,
        Phase.LOAD,
        ["more-than-five-dimensions"],
    )
    assert exact.error is not None
    assert "the input has 6 dimensions" in exact.error.message
    assert (half.outcome, half.phase) == (Outcome.CONVERT_ERROR, Phase.CONVERT)


RETURNED: dict[str, tuple[torch.nn.Module | Callable[..., Any], tuple[torch.Tensor, ...]]] = {
    "a copy": (lambda x: x.clone(), (torch.randn(3),)),
    "dropout in eval mode": (torch.nn.Dropout(0.5), (torch.randn(3),)),
    "a sum over no dimension of size one": (lambda x: x.squeeze(0), (torch.randn(3, 2),)),
    "an input among other results": (lambda x, y: (x + y, y.clone()), (torch.randn(3), torch.randn(3))),
    "two copies": (lambda x, y: (y.clone(), x.clone()), (torch.randn(3), torch.randn(2))),
}


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("what", RETURNED)
def test_what_only_newer_systems_refuse_is_a_note(what: str, precision: str) -> None:
    module, inputs = RETURNED[what]
    record = judged(module, f"{precision}-ios18", *inputs)
    assert (record.outcome, record.phase, record.load_rules) == (Outcome.PASS, Phase.VALUE, [])
    notes = [note.detail for note in record.notes if note.code is NoteCode.REFUSED_BY_NEWER_SYSTEMS]
    assert notes
    assert all(note.startswith("input-returned-as-output: ") for note in notes)
    there = judged(module, f"{precision}-ios26", *inputs)
    assert (there.outcome, there.phase) == (Outcome.LOAD_ERROR, Phase.LOAD)
    assert there.load_rules == ["input-returned-as-output"]


ACCEPTED: dict[str, tuple[torch.nn.Module | Callable[..., Any], torch.Tensor]] = {
    "reflection of an image": (torch.nn.ReflectionPad2d(2), IMAGE),
    "replication of a row": (torch.nn.ReplicationPad1d(3), torch.rand(1, 2, 3)),
    "zeros around a volume": (padding("constant", 1, 1, 1, 1, 4, 4), VOLUME),
    "the last two of a volume": (padding("reflect", 1, 1, 2, 2, 0, 0), VOLUME),
    "five dimensions": (lambda x: x.sum((-1, -2)), VOLUME),
    "another value than the input": (lambda x: x + 0.5, IMAGE),
}


@pytest.mark.parametrize("recipe", ["fp16-ios18", "fp32-ios26"])
@pytest.mark.parametrize("what", ACCEPTED)
def test_what_is_near_a_rule_is_run(what: str, recipe: str) -> None:
    module, x = ACCEPTED[what]
    record = judged(module, recipe, x)
    assert (record.outcome, record.load_rules) == (Outcome.PASS, [])
    assert all(note.code is not NoteCode.REFUSED_BY_NEWER_SYSTEMS for note in record.notes)


def test_every_function_of_a_package_is_looked_at() -> None:
    """The program of one method loads with those of the others."""
    other = Method("other", Called(padding("reflect", 0, 0, 0, 0, 1, 1)), (VOLUME,))
    record = judged(lambda x: x + 1.0, "fp32-ios18", IMAGE, method="plain", beside=(other,))
    assert (record.outcome, record.load_rules) == (Outcome.LOAD_ERROR, [PADDED])


def test_without_its_row_the_program_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: a row switched off. What it kept from being loaded passes, and the tests above fail."""
    rows = [row for row in mil.LOAD_RULES if row.name != PADDED]
    monkeypatch.setattr(mil.load_rules, "LOAD_RULES", rows)
    with pytest.raises(AssertionError):
        test_a_program_that_core_ml_does_not_load("reflection of a volume", "fp32-ios18")
    assert judged(torch.nn.ReflectionPad3d(1), "fp32-ios18", VOLUME).outcome is Outcome.PASS
