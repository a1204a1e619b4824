"""Faults of quantized programs planted in the converters, each caught by a case of the suite that passes without."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from coremltools.converters.mil.frontend import _utils
from coremltools.converters.mil.frontend.torch import quantization_ops

from harness.cases import quantization
from harness.check import Checker
from harness.evidence.check import Check
from harness.evidence.recipe import Recipe
from harness.evidence.record import Record
from harness.evidence.unit import UnitSpec
from harness.evidence.vocabulary import Outcome
from harness.lowering import speedups

Change = Callable[[Any, Any], tuple[Any, Any]]


@pytest.fixture(scope="module", autouse=True)
def _measuring() -> Iterator[None]:
    speedups.enable()
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture
def few_patterns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of the quantizer's kinds of patterns: all of them take seconds to export."""
    from executorch.backends.apple.coreml.quantizer._coreml_quantizer import _AnnotationPatternRegistry

    kinds = {name: _AnnotationPatternRegistry.get_annotators()[name] for name in ("linear", "conv")}
    monkeypatch.setattr(_AnnotationPatternRegistry, "REGISTRY", kinds)


def weights(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[pytest.MonkeyPatch], None]:
    """The scales of dequantized weights changed."""
    own = _utils._construct_constexpr_dequant_op

    def faulty(integers: Any, zero_point: Any, scale: Any, **others: Any) -> Any:
        return own(integers, zero_point, change(np.array(scale)), **others)

    def plant(patch: pytest.MonkeyPatch) -> None:
        patch.setattr(_utils, "_construct_constexpr_dequant_op", faulty)
        patch.setattr(quantization_ops._utils, "_construct_constexpr_dequant_op", faulty)

    return plant


def tables(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[pytest.MonkeyPatch], None]:
    """The tables of palettized weights changed."""
    own = _utils._construct_constexpr_lut_op

    def faulty(indices: Any, lut: Any, **others: Any) -> Any:
        return own(indices, change(np.array(lut)), **others)

    return lambda patch: patch.setattr(_utils, "_construct_constexpr_lut_op", faulty)


def without_zero_point(*operators: str) -> Callable[[pytest.MonkeyPatch], None]:
    """MIL's operators of activations without the zero point they are given."""
    own = quantization_ops.mb

    class Builder:
        def __getattr__(self, name: str) -> Any:
            real = getattr(own, name)
            return (lambda **given: real(**{**given, "zero_point": None})) if name in operators else real

    return lambda patch: patch.setattr(quantization_ops, "mb", Builder())


def of_one_group(scale: np.ndarray) -> np.ndarray:
    scale[3, 1] *= 1.25
    return scale


def of_the_neighbour(scale: np.ndarray) -> np.ndarray:
    return np.roll(scale, 1, axis=0)


def one_entry_on(lut: np.ndarray) -> np.ndarray:
    return np.roll(lut, 1, axis=-2)


FAULTS = {
    "scale of one int4 group": (weights(of_one_group), "linear", "torchao_int4_group32"),
    "table off by one entry": (tables(one_entry_on), "linear", "codebook4"),
    "table of an embedding off by one entry": (tables(one_entry_on), "embedding", "codebook8"),
    "zero point of an activation dropped": (without_zero_point("quantize"), "linear", "pt2e_int8_static"),
    "both zero points dropped": (without_zero_point("quantize", "dequantize"), "linear", "pt2e_int8_static"),
    "scales shifted by a channel": (weights(of_the_neighbour), "linear", "torchao_int8_channel"),
    "scales shifted by a channel of a convolution": (weights(of_the_neighbour), "conv2d", "pt2e_int8_weight_only"),
}


def checked(name: str, recipe: str) -> Record:
    case = next(case for case in quantization.cases() if case.id.startswith(f"quantization/{name}/"))
    return Checker().check(Check(case, Recipe.parse(recipe), UnitSpec.parse("reference")))


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_caught(
    fault: str, precision: str, few_patterns: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant, name, scheme = FAULTS[fault]
    recipe = f"{precision}-ios18-{scheme}"
    assert checked(name, recipe).outcome is Outcome.PASS
    plant(monkeypatch)
    found = checked(name, recipe)
    assert found.outcome is Outcome.WRONG_VALUE, (found.outcome, found.reason, found.error)


def test_scales_after_conversion_shifted_by_a_channel_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """What coremltools quantizes itself is judged by weights dequantized without it."""
    from coremltools.optimize import _utils as optimize

    own = optimize.compute_qparams_by_dtype

    def faulty(*given: Any) -> Any:
        integers, scale, zero_point = own(*given)
        return integers, np.roll(scale, 1, axis=0), zero_point

    recipe = "fp16-ios18-op_linear_int4_group32"
    assert checked("linear", recipe).outcome is Outcome.PASS
    monkeypatch.setattr(optimize, "compute_qparams_by_dtype", faulty)
    assert checked("linear", recipe).outcome is Outcome.WRONG_VALUE
