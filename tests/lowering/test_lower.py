"""Each failure at its phase, planted at the place where that phase works."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from executorch.backends.apple.coreml.compiler import CoreMLBackend
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import EdgeProgramManager

from harness.evidence.recipe import Recipe
from harness.evidence.vocabulary import HarnessError, Outcome, Phase
from harness.lowering import graph, partitioning
from harness.lowering.fingerprint import program_digest
from harness.lowering.lower import Exported, Lowered, forget_conversion, lower, missing_kernels

X = torch.tensor([0.5, 1.0, 2.0])
FP32, FP16 = Recipe.parse("fp32-ios18"), Recipe.parse("fp16-ios18")
LADDER = [Phase.EDGE, Phase.PARTITION, Phase.EDGE, Phase.CONVERT, Phase.EDGE, Phase.PACKAGE, Phase.EDGE, Phase.EMIT]


class Scale(torch.nn.Module):
    """Holds a plain tensor, which export lifts to a constant."""

    def __init__(self) -> None:
        super().__init__()
        self.table = torch.tensor([1.0, 2.0, 3.0])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.table


class Asinh(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.asinh(x)


class Polygamma(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.polygamma(1, x)


class Selected(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.masked_select(x, x > 0.75)


class DataDependent(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + 1 if x.sum() > 0 else x - 1


@pytest.fixture(scope="module")
def scale(exported: Callable[..., Exported]) -> Exported:
    return exported(Scale(), X)


def raising(error: Exception) -> Callable[..., None]:
    def planted(*_args: object, **_kwargs: object) -> None:
        raise error

    return planted


def assert_failed(result: Lowered, phase: Phase, outcome: Outcome, kind: str, message: str) -> None:
    assert result.program is None
    assert result.pte == b""
    assert result.failure is not None
    assert (result.failure.phase, result.failure.outcome) == (phase, outcome)
    assert result.failure.error.type == kind
    assert message in result.failure.error.message
    assert result.failure.error.signature.startswith(kind)


def test_a_program_that_lowers(scale: Exported) -> None:
    phases: list[Phase] = []
    result = lower(scale, FP32, phases.append)
    assert result.failure is None
    assert result.program is not None
    assert result.pte[4:8] == b"ET12"
    assert result.exported_ops == {"aten.mul.Tensor": 1}
    assert result.missing_kernels == ()
    assert sorted(result.timing) == ["emit", "export", "lower"]
    assert all(seconds > 0 for seconds in result.timing.values())
    assert phases == LADDER


def test_export(exported: Callable[..., Exported]) -> None:
    made = exported(DataDependent(), X)
    assert made.program is None
    result = lower(made, FP32)
    assert result.failure == made.failure
    assert result.failure is not None
    assert (result.failure.phase, result.failure.outcome) == (Phase.EXPORT, Outcome.UNSUPPORTED)


def test_export_planted(monkeypatch: pytest.MonkeyPatch, exported: Callable[..., Exported]) -> None:
    monkeypatch.setattr(torch.export, "export", raising(RuntimeError("planted")))
    assert_failed(lower(exported(Scale(), X), FP32), Phase.EXPORT, Outcome.UNSUPPORTED, "RuntimeError", "planted")


def test_edge(lowered: Callable[..., Lowered]) -> None:
    result = lowered(Polygamma(), X)
    assert_failed(result, Phase.EDGE, Outcome.UNSUPPORTED, "SpecViolationError", "aten.polygamma.default")
    assert result.exported_ops == {"aten.polygamma.default": 1}


def test_partition(monkeypatch: pytest.MonkeyPatch, scale: Exported) -> None:
    monkeypatch.setattr(CoreMLPartitioner, "partition", raising(KeyError("planted")))
    assert_failed(lower(scale, FP32), Phase.PARTITION, Outcome.CONVERT_ERROR, "KeyError", "planted")


def test_convert(monkeypatch: pytest.MonkeyPatch, scale: Exported) -> None:
    from coremltools.converters.mil.frontend.torch.torch_op_registry import _TORCH_OPS_REGISTRY as registry

    monkeypatch.setitem(registry.name_to_func_mapping, "mul", raising(IndexError("planted")))
    assert_failed(lower(scale, FP32), Phase.CONVERT, Outcome.CONVERT_ERROR, "IndexError", "planted")


def test_convert_of_a_claim_the_converter_does_not_keep(exported: Callable[..., Exported]) -> None:
    """The partitioner asks whether an operator has a converter, not whether that takes these arguments."""

    class DynamicGamma(torch.nn.Module):
        def forward(self, x: torch.Tensor, gamma: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.layer_norm(x, (3,), gamma)

    result = lower(exported(DynamicGamma(), X, X), FP32)
    assert_failed(result, Phase.CONVERT, Outcome.CONVERT_ERROR, "ValueError", "gamma must be const")
    assert result.failure is not None
    assert "layer_norm" in result.failure.error.signature


def test_package(monkeypatch: pytest.MonkeyPatch, scale: Exported) -> None:
    monkeypatch.setattr(CoreMLBackend, "preprocess_model", staticmethod(raising(ValueError("planted"))))
    assert_failed(lower(scale, FP32), Phase.PACKAGE, Outcome.CONVERT_ERROR, "ValueError", "planted")


def test_emit(monkeypatch: pytest.MonkeyPatch, scale: Exported) -> None:
    monkeypatch.setattr(EdgeProgramManager, "to_executorch", raising(RuntimeError("planted")))
    assert_failed(lower(scale, FP32), Phase.EMIT, Outcome.EMIT_ERROR, "RuntimeError", "planted")


def test_the_phase_after_a_finished_one_is_not_the_finished_one(
    monkeypatch: pytest.MonkeyPatch, scale: Exported
) -> None:
    """What fails between partitioning and conversion failed in ExecuTorch, outside both."""
    from executorch.exir.backend import backend_api

    monkeypatch.setattr(backend_api, "lower_all_submodules_to_backend", raising(RuntimeError("planted")))
    assert_failed(lower(scale, FP32), Phase.EDGE, Outcome.UNSUPPORTED, "RuntimeError", "planted")


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (CoreMLPartitioner, "partition"),
        (CoreMLBackend, "_convert_to_mlmodel"),
        (CoreMLBackend, "preprocess_model"),
    ],
)
def test_what_is_watched_is_given_back(
    owner: type, name: str, monkeypatch: pytest.MonkeyPatch, scale: Exported
) -> None:
    before = owner.__dict__[name]
    lower(scale, FP32)
    assert owner.__dict__[name] is before
    monkeypatch.setattr(EdgeProgramManager, "to_executorch", raising(RuntimeError("planted")))
    lower(scale, FP32)
    assert owner.__dict__[name] is before


def test_a_fault_of_our_own_is_no_finding(monkeypatch: pytest.MonkeyPatch, scale: Exported) -> None:
    monkeypatch.setattr(graph._Planner, "plan", raising(KeyError("ours")))
    with pytest.raises(KeyError, match="ours"):
        lower(scale, FP32)


def test_a_graph_without_a_plan_is_still_emitted(monkeypatch: pytest.MonkeyPatch, scale: Exported) -> None:
    monkeypatch.setattr(graph._Planner, "plan", raising(graph.UnplannableGraph("call of cond")))
    result = lower(scale, FP32)
    assert result.failure is None
    assert result.program is None
    assert result.pte
    assert "call of cond" in result.unplannable


def test_an_exported_program_is_shared_by_recipes_and_not_changed(exported: Callable[..., Exported]) -> None:
    """Lowering takes constants out of the program it is given, so it is given a copy."""
    made = exported(Scale(), X)
    assert made.program is not None
    before = program_digest(made.program)
    constants = copy.deepcopy(dict(made.program.constants))
    assert any(torch.equal(value, Scale().table) for value in constants.values())
    first, second, third = lower(made, FP32), lower(made, FP16), lower(made, FP32)
    assert first.failure is second.failure is third.failure is None
    assert program_digest(made.program) == before
    assert list(made.program.constants) == list(constants)
    torch.testing.assert_close(made.program.module()(X), X * Scale().table)


def test_a_fallback_without_a_kernel_is_named(monkeypatch: pytest.MonkeyPatch, lowered: Callable[..., Lowered]) -> None:
    from harness.lowering import lower as module

    assert lowered(Asinh(), X).missing_kernels == ()
    kernels = module._registered_kernels()
    assert "aten::asinh.out" in kernels
    monkeypatch.setattr(module, "_registered_kernels", lambda: kernels - {"aten::asinh.out"})
    assert lowered(Asinh(), X).missing_kernels == ("aten::asinh.out",)


def test_missing_kernels_are_read_from_the_emitted_program() -> None:
    class Operator:
        def __init__(self, name: str, overload: str) -> None:
            self.name, self.overload = name, overload

    class Plan:
        operators = [Operator("aten::add", "out"), Operator("made::up", "out"), Operator("made::plain", "")]  # noqa: RUF012

    class Program:
        execution_plan = [Plan()]  # noqa: RUF012

    assert missing_kernels(Program()) == ("made::plain", "made::up.out")


def test_export_keeps_the_seconds_and_the_operators(exported: Callable[..., Exported]) -> None:
    made = exported(Scale(), X)
    assert made.failure is None
    assert made.seconds > 0
    assert made.ops == {"aten.mul.Tensor": 1}


def test_a_backend_that_cannot_be_imported_fails_every_lowering_alike(
    scale: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    failure = ModuleNotFoundError("No module named 'coremltools.of_another_version'")
    monkeypatch.setattr("harness.lowering.lower.import_failure", lambda: failure)
    for recipe in (FP32, FP16):
        found = lower(scale, recipe)
        assert found.program is None
        assert found.failure is not None
        assert (found.failure.phase, found.failure.outcome) == (Phase.PARTITION, Outcome.CONVERT_ERROR)
        assert (found.failure.error.type, found.failure.error.message) == ("ModuleNotFoundError", str(failure))


def test_a_recipe_that_cannot_be_carried_out_is_no_outcome(scale: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partitioning, "compile_specs", raising(HarnessError("no such target")))
    with pytest.raises(HarnessError, match="no such target"):
        lower(scale, FP16)


def test_a_lowering_that_failed_half_way_leaves_nothing_to_the_next(exported: Callable[..., Exported]) -> None:
    """Copies of a program share its symbolic sizes; this one has a size that nothing binds when lowering fails."""
    program = exported(Selected(), X)
    failures = [lower(program, recipe).failure for recipe in (FP32, FP16, FP32)]
    assert failures[0] is not None
    assert "not in Core ATen" in failures[0].error.message
    assert failures == failures[:1] * 3


def test_what_one_lowering_leaves_is_forgotten_by_the_next() -> None:
    from executorch.exir.backend import utils

    node = torch.fx.symbolic_trace(torch.nn.ReLU()).graph.output_node()
    utils.is_same_node(node, node)
    assert utils.is_same_node.cache_info().currsize
    forget_conversion()
    assert utils.is_same_node.cache_info().currsize == 0
