"""Faults planted in the converter and in a unit, caught by the cases of the suites `shapes` and `state`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from coremltools.converters.mil import Builder as mb
from coremltools.models.neural_network import flexible_shape_utils
from executorch.backends.apple.coreml.compiler import CoreMLBackend

from harness.cases import find
from harness.check import Checker
from harness.evidence.check import Check
from harness.evidence.recipe import Recipe
from harness.evidence.record import Record
from harness.evidence.vocabulary import Outcome, Phase
from harness.lowering import speedups
from harness.mil import interpreter

FP32 = Recipe.parse("fp32-ios18")
PAIRS, BATCHES = "shapes/enumerated/float32/pairs", "shapes/enumerated/float32/batch-4-2-8"
LINEAR, CONVOLUTION = "shapes/linear/float32/batch-2-to-8", "shapes/conv2d/float32/height-8-to-20-width-8-to-24"
TOTAL, TWO, CACHE = (f"state/{name}/float32/seed-0" for name in ("total", "two-buffers", "key-value-cache"))

Patch = pytest.MonkeyPatch


def _enumerated(patch: Patch, change: Callable[[Any, list[Any]], list[Any]]) -> None:
    original = flexible_shape_utils._add_multiarray_ndshape_enumeration_for_feature

    def add(feature: Any, enumerated_shapes: list[Any], **options: Any) -> None:
        original(feature, change(feature, enumerated_shapes), **options)

    patch.setattr(flexible_shape_utils, "_add_multiarray_ndshape_enumeration_for_feature", add)


def _ranged(patch: Patch, change: Callable[[Any, list[int], list[int]], tuple[list[int], list[int]]]) -> None:
    original = flexible_shape_utils._set_multiarray_ndshape_range_for_feature

    def put(feature: Any, lower_bounds: list[int], upper_bounds: list[int]) -> None:
        low, high = change(feature, lower_bounds, upper_bounds)
        original(feature, lower_bounds=low, upper_bounds=high)

    patch.setattr(flexible_shape_utils, "_set_multiarray_ndshape_range_for_feature", put)


def a_shape_is_cropped(patch: Patch) -> None:
    _enumerated(patch, lambda _feature, shapes: shapes[:-1])


def a_shape_more(patch: Patch) -> None:
    _enumerated(patch, lambda _feature, shapes: [*shapes, (3, *shapes[0][1:])])


def enumerations_do_not_tie(patch: Patch) -> None:
    """As if the description had ranges in their place."""

    def add(feature: Any, enumerated_shapes: list[Any], **_options: Any) -> None:
        low, high = (list(map(bound, *enumerated_shapes)) for bound in (min, max))
        flexible_shape_utils._set_multiarray_ndshape_range_for_feature(feature, lower_bounds=low, upper_bounds=high)

    patch.setattr(flexible_shape_utils, "_add_multiarray_ndshape_enumeration_for_feature", add)


def a_dimension_is_fixed(patch: Patch) -> None:
    """At the size that stands for all of them in the description."""

    def fixed(feature: Any, low: list[int], high: list[int]) -> tuple[list[int], list[int]]:
        example = list(feature.type.multiArrayType.shape)
        return example, example

    _ranged(patch, fixed)


def a_range_ends_early(patch: Patch) -> None:
    _ranged(patch, lambda _feature, low, high: (low, [h - (h > one) for one, h in zip(low, high, strict=True)]))


def a_range_ends_late(patch: Patch) -> None:
    _ranged(patch, lambda _feature, low, high: (low, [h + (h > one) for one, h in zip(low, high, strict=True)]))


def no_write(patch: Patch) -> None:
    patch.setattr(mb, "coreml_update_state", lambda **_arguments: None)


def states_are_swapped(patch: Patch) -> None:
    """What is to be written to one is written to the other, in the finished program."""
    original = CoreMLBackend.preprocess_model

    def preprocess(mlmodel: Any, model_type: Any) -> Any:
        (block,) = mlmodel._spec.mlProgram.functions["main"].block_specializations.values()
        names = [op.inputs["input"].arguments[0] for op in block.operations if op.type == "write_state"]
        names[0].name, names[1].name = names[1].name, names[0].name
        return original(mlmodel, model_type)

    patch.setattr(CoreMLBackend, "preprocess_model", preprocess)


def one_write_is_dropped(patch: Patch) -> None:
    """The unit's fault, in the third call."""
    original, calls = interpreter._State.write, []

    def write(self: Any, value: Any) -> None:
        calls.append(value)
        if len(calls) != 3:
            original(self, value)

    patch.setattr(interpreter._State, "write", write)


def a_state_is_begun_anew(patch: Patch) -> None:
    """The unit's fault: each call finds zeros."""
    original = interpreter._State.read
    patch.setattr(interpreter._State, "read", lambda self: original(self) * 0)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    torch.set_num_threads(1)
    speedups.enable()
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


def checked(case: str) -> Record:
    return Checker().check(Check.of(find.find(case), FP32, "reference"))


@pytest.mark.parametrize("case", [PAIRS, BATCHES, LINEAR, CONVOLUTION, TOTAL, TWO, CACHE])
def test_without_a_fault_the_cases_pass(case: str) -> None:
    assert checked(case).outcome is Outcome.PASS


@pytest.mark.parametrize(
    ("plant", "case", "outcome", "says"),
    [
        (a_shape_is_cropped, PAIRS, Outcome.RUN_ERROR, "calls[0]: input 'x': shape [2, 6], the model takes one of"),
        (a_shape_is_cropped, BATCHES, Outcome.RUN_ERROR, "calls[1]: input 'input_1': shape [8, 6]"),
        (a_shape_more, BATCHES, Outcome.NOT_REFUSED, "1 of 2 calls that it has to refuse: refused[0] [3, 6]"),
        (enumerations_do_not_tie, PAIRS, Outcome.NOT_REFUSED, "refused[0] [2, 6], [5, 5]; refused[1] [4, 6], [3, 5]"),
        (a_dimension_is_fixed, LINEAR, Outcome.RUN_ERROR, "input 'input_1': shape [5, 6], the model takes [2, 6]"),
        (a_dimension_is_fixed, CONVOLUTION, Outcome.RUN_ERROR, "shape [1, 3, 12, 10], the model takes [1, 3, 8, 8]"),
        (a_range_ends_early, LINEAR, Outcome.RUN_ERROR, "calls[1]: input 'input_1': shape [8, 6]"),
        (a_range_ends_late, LINEAR, Outcome.NOT_REFUSED, "1 of 2 calls that it has to refuse: refused[0] [9, 6]"),
        (no_write, TOTAL, Outcome.WRONG_VALUE, ""),
        (no_write, CACHE, Outcome.WRONG_VALUE, ""),
        (states_are_swapped, TWO, Outcome.WRONG_VALUE, ""),
        (states_are_swapped, CACHE, Outcome.WRONG_VALUE, ""),
        (one_write_is_dropped, TOTAL, Outcome.WRONG_VALUE, "calls[1]: buffer total"),
        (a_state_is_begun_anew, TOTAL, Outcome.WRONG_VALUE, "calls[0]: output 0"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_a_fault_is_caught(
    plant: Callable[[Patch], None], case: str, outcome: Outcome, says: str, monkeypatch: Patch
) -> None:
    plant(monkeypatch)
    record = checked(case)
    assert record.outcome is outcome, record
    assert says in (record.reason or (record.error.message if record.error else ""))
    if outcome is Outcome.NOT_REFUSED:
        assert record.phase is Phase.RUN
