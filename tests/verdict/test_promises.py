"""Broken promises are seen: faults planted in the partitioner, the backend and the emitted program."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from harness.cases import find
from harness.cases.case import Built, Case, Method, Partitioning, Refusal
from harness.check import check
from harness.evidence.check import Check
from harness.evidence.notes import NoteCode
from harness.evidence.recipe import Recipe
from harness.evidence.record import Record
from harness.evidence.unit import UnitSpec
from harness.evidence.vocabulary import Kind, Level, Outcome, Phase, Unit
from harness.verdict.promises import Asked

Plant = Callable[[pytest.MonkeyPatch], None]


def _check(case: Case, recipe: str = "fp16-ios18") -> Record:
    return check(Check(case, Recipe.parse(recipe), UnitSpec(Unit.REFERENCE)))


def _broken(record: Record) -> list[str]:
    return [note.detail for note in record.notes if note.code is NoteCode.BROKEN_PROMISE]


def _case(build: Callable[[], Built]) -> Case:
    return Case(
        id="options/planted/float32/one",
        kind=Kind.OPTION,
        op="options.planted",
        api="options.planted",
        dtype="float32",
        origin="options",
        level=Level.SMOKE,
        build=build,
    )


def _target_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    import coremltools as ct
    from executorch.backends.apple.coreml.compiler import CoreMLBackend

    ignored = staticmethod(lambda _specs: ct.target.iOS18)
    monkeypatch.setattr(CoreMLBackend, "min_deployment_target_from_compile_specs", ignored)


def _precision_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    import coremltools as ct
    from executorch.backends.apple.coreml.compiler import CoreMLBackend

    ignored = staticmethod(lambda _specs: ct.precision.FLOAT32)
    monkeypatch.setattr(CoreMLBackend, "model_compute_precision_from_compile_specs", ignored)


def _half_for_float(monkeypatch: pytest.MonkeyPatch) -> None:
    import coremltools as ct
    from executorch.backends.apple.coreml.compiler import CoreMLBackend

    ignored = staticmethod(lambda _specs: ct.precision.FLOAT16)
    monkeypatch.setattr(CoreMLBackend, "model_compute_precision_from_compile_specs", ignored)


def _unit_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    from executorch.backends.apple.coreml.compiler import CoreMLBackend
    from executorch.exir.backend.compile_spec_schema import CompileSpec

    ignored = staticmethod(lambda _unit: CompileSpec("compute_units", b"all"))
    monkeypatch.setattr(CoreMLBackend, "generate_compute_unit_compile_spec", ignored)


def _skipped_delegated(monkeypatch: pytest.MonkeyPatch) -> None:
    from executorch.backends.apple.coreml.partition import coreml_partitioner

    support = coreml_partitioner._OperatorsSupportedForCoreMLBackend
    monkeypatch.setattr(support, "should_skip_op_for_delegation", lambda _self, _name: False)


def _constants_left(monkeypatch: pytest.MonkeyPatch) -> None:
    from executorch.backends.apple.coreml.partition import coreml_partitioner

    monkeypatch.setattr(coreml_partitioner, "tag_constant_data", lambda _program: None)


def _option_ignored(name: str) -> Plant:
    def plant(monkeypatch: pytest.MonkeyPatch) -> None:
        from executorch.backends.apple.coreml.partition import CoreMLPartitioner

        original = CoreMLPartitioner.partition

        def partition(self: Any, program: Any) -> Any:
            setattr(self, name, not getattr(self, name))
            return original(self, program)

        monkeypatch.setattr(CoreMLPartitioner, "partition", partition)

    return plant


def _not_quantized(monkeypatch: pytest.MonkeyPatch) -> None:
    import coremltools.optimize as cto

    monkeypatch.setattr(cto.coreml, "linear_quantize_weights", lambda model, config: model)


@pytest.mark.parametrize(
    ("plant", "case_id", "recipe", "promise"),
    [
        (_target_ignored, "options/minimum_deployment_target/float32/each", "fp16-ios16", "specification_version"),
        (_precision_ignored, "options/compute_precision/float32/each", "fp16-ios18", "precision"),
        (_half_for_float, "options/compute_precision/float32/each", "fp32-ios18", "precision"),
        (_unit_ignored, "options/compute_unit/float32/cpu_only", "fp16-ios18", "compute_unit"),
        (_skipped_delegated, "options/skip_ops_for_coreml_delegation/float32/linear", "fp16-ios18", "skipped"),
        (_constants_left, "options/take_over_constant_data/float32/true", "fp16-ios18", "constants_within"),
        (
            _option_ignored("take_over_constant_data"),
            "options/take_over_constant_data/float32/false",
            "fp16-ios18",
            "constants_outside",
        ),
        (
            _option_ignored("take_over_mutable_buffer"),
            "options/take_over_mutable_buffer/float32/false",
            "fp16-ios18",
            "buffers_outside",
        ),
        (
            _option_ignored("take_over_mutable_buffer"),
            "options/take_over_mutable_buffer/float32/true",
            "fp16-ios18",
            "buffers_within",
        ),
        (
            _not_quantized,
            "options/op_linear_quantizer_config/float32/linear",
            "fp32-ios16-op_linear_int8",
            "quantized_weights",
        ),
    ],
)
def test_a_planted_fault_breaks_its_promise(
    plant: Plant, case_id: str, recipe: str, promise: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = find.find(case_id)
    assert _broken(_check(case, recipe)) == []
    plant(monkeypatch)
    record = _check(case, recipe)
    assert promise in _broken(record)
    if record.outcome is Outcome.INVALID_PROGRAM:
        assert record.error is not None
        assert record.error.type == "BrokenPromise"
        assert promise in record.error.signature


def test_an_argument_that_is_written_to_is_no_buffer_left_outside() -> None:
    class InPlace(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.relu(x, inplace=True)

    record = _check(_case(lambda: Built(InPlace().eval(), (torch.tensor([1.5, -2.0]),), 0)))
    assert (record.outcome, _broken(record)) == (Outcome.PASS, [])


def test_a_wrong_option_that_is_not_refused_breaks_its_promise() -> None:
    case = find.find("options/lower_full_graph/float32/true")
    refusal = Refusal(Phase.PARTITION, "NotImplementedError", "lower_full_graph")
    record = _check(replace(case, build=lambda: replace(case.build(), refusal=refusal)))
    assert (record.outcome, _broken(record)) == (Outcome.INVALID_PROGRAM, ["refusal"])


def test_a_refusal_of_another_kind_breaks_the_promise() -> None:
    case = find.find("options/pass_names/float32/unknown")
    assert _check(case).outcome is Outcome.PASS
    refusal = Refusal(Phase.EDGE, "ValueError", "unknown pass")
    record = _check(replace(case, build=lambda: replace(case.build(), refusal=refusal)))
    assert (record.outcome, _broken(record)) == (Outcome.INVALID_PROGRAM, ["refusal"])


def _two_layers() -> Built:
    torch.manual_seed(0)
    one, two = torch.nn.Linear(4, 4).eval(), torch.nn.Linear(4, 4).eval()
    inputs = (torch.ones(2, 4),)
    return Built(one, inputs, 0, beside=(Method("prefill", two, inputs),))


def test_weights_of_methods_swapped_give_another_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    from executorch.backends.apple.coreml.compiler import CoreMLBackend

    assert _check(_case(_two_layers)).outcome is Outcome.PASS
    original = CoreMLBackend.__dict__["preprocess_multimethod"].__func__

    def swapped(kind: Any, programs: Any, specs: Any) -> Any:
        made = original(kind, programs, specs)
        return dict(zip(made, reversed(made.values()), strict=True))

    monkeypatch.setattr(CoreMLBackend, "preprocess_multimethod", classmethod(swapped))
    assert _check(_case(_two_layers)).outcome is Outcome.WRONG_VALUE


def test_methods_that_do_not_share_break_the_promise(monkeypatch: pytest.MonkeyPatch) -> None:
    from executorch.backends.apple.coreml.compiler import CoreMLBackend
    from executorch.backends.apple.coreml.compiler import coreml_preprocess as module

    apart = module.MULTIMETHOD_WEIGHT_SHARING_STRATEGY.DISABLED
    name = "multimethod_weight_sharing_strategy_from_compile_specs"
    monkeypatch.setattr(CoreMLBackend, name, staticmethod(lambda _specs: apart))
    assert "weights_shared" in _broken(_check(find.find("multifunction/lengths/float32/forward")))


def test_weights_stored_once_for_each_method_break_the_promise(monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.mil.package import ReadPackage

    of = ReadPackage.of

    def twice(*given: Any) -> ReadPackage:
        read = of(*given)
        return replace(read, weights=2 * read.weights)

    monkeypatch.setattr(ReadPackage, "of", staticmethod(twice))
    assert "weights_shared" in _broken(_check(find.find("multifunction/lengths/float32/forward")))


def test_methods_apart_share_no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    from executorch.backends.apple.coreml.compiler import CoreMLBackend
    from executorch.backends.apple.coreml.compiler import coreml_preprocess as module

    shared = module.MULTIMETHOD_WEIGHT_SHARING_STRATEGY.POSITIONAL
    name = "multimethod_weight_sharing_strategy_from_compile_specs"
    monkeypatch.setattr(CoreMLBackend, name, staticmethod(lambda _specs: shared))
    assert "weights_apart" in _broken(_check(find.find("multifunction/lengths-apart/float32/forward")))


def test_a_program_of_an_older_release_with_another_weight_gives_another_answer() -> None:
    case = find.find("programs/conv/float32/executorch-1.2.0")
    assert _check(case, case.recipes[0]).outcome is Outcome.PASS
    built = case.build()
    weight = next(iter(built.module.parameters())).detach().numpy().tobytes()
    assert built.stored.count(weight) == 1
    other = built.stored.replace(weight, weight[:-4] + torch.tensor([2.0]).numpy().tobytes())
    assert zlib.crc32(other) != zlib.crc32(built.stored)
    record = _check(replace(case, build=lambda: replace(built, stored=other)), case.recipes[0])
    assert record.outcome is Outcome.WRONG_VALUE


def test_what_is_asked_is_the_recipe_and_what_a_case_puts_in_its_place() -> None:
    asked = Asked.of(Recipe.parse("fp16-ios17"), Partitioning(specs=(("compute_unit", "ct.ComputeUnit.CPU_ONLY"),)))
    assert (asked.precision, asked.target and asked.target.name, asked.compute_unit) == ("fp16", "iOS17", "cpu_only")
    bare = Asked.of(Recipe.parse("default"), Partitioning())
    assert (bare.precision, bare.target, bare.compute_unit) == ("fp16", None, "all")
