"""The corridor: a case for each outcome, real where there is one, and what its record holds."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from executorch.exir import EdgeProgramManager

import harness.check as corridor
from harness import mil
from harness.cases import find
from harness.cases.case import Built, Case, CaseFault, Partitioning, partitioned
from harness.check import Checker, check
from harness.evidence.check import Check
from harness.evidence.division import Division, Island
from harness.evidence.notes import Note, NoteCode
from harness.evidence.recipe import Recipe
from harness.evidence.record import Record
from harness.evidence.vocabulary import HarnessError, Kind, Level, Outcome, Phase
from harness.lowering import speedups
from harness.lowering.cache import LoweringCache
from harness.lowering.place import Place
from harness.mil.kernels import KERNELS
from harness.units import executorch as executorch_unit
from harness.units import whole_program
from harness.units.base import UnitDied
from harness.units.reference import ReferenceUnit
from harness.verdict.stage import RIGHT_WHEN_WIDENED, STILL_WRONG

FP32, FP16 = Recipe.parse("fp32-ios18"), Recipe.parse("fp16-ios18")
X = torch.tensor([0.5, 1.0, 2.0])


@pytest.fixture(scope="module", autouse=True)
def _measuring() -> None:
    torch.set_num_threads(1)
    import executorch.backends.apple.coreml.partition  # noqa: F401

    speedups.enable()


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """The measured packages log every node they look at."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


class Function(torch.nn.Module):
    def __init__(self, function: Callable[..., object]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *tensors: torch.Tensor) -> object:
        return self.function(*tensors)


def case_of(
    module: torch.nn.Module | Callable[..., object], *inputs: torch.Tensor, op: str = "aten.mul.Tensor"
) -> Case:
    module = module if isinstance(module, torch.nn.Module) else Function(module)

    def build() -> Built:
        return Built(module.eval(), inputs, 7)

    return Case(
        id="check/tests/made",
        kind=Kind.OPERATOR,
        op=op,
        api="made",
        dtype="float32",
        origin="tests",
        level=Level.SMOKE,
        build=build,
    )


def opinfo(case_id: str, recipe: Recipe = FP32, unit: str = "reference") -> Record:
    return check(Check.of(find.find(f"ops/{case_id}"), recipe, unit))


def raising(error: Exception) -> Callable[..., Any]:
    def planted(*_args: object, **_kwargs: object) -> Any:
        raise error

    return planted


# --- every outcome -----------------------------------------------------------------------------------------


def test_pass_and_every_field_of_its_record() -> None:
    record = Checker("this-machine").check(
        Check.of(find.find("ops/aten.tanh.default/float32/opinfo-8bec82"), FP16, "reference")
    )
    assert (record.outcome, record.phase) == (Outcome.PASS, Phase.VALUE)
    assert record.check_id == "ops/aten.tanh.default/float32/opinfo-8bec82@fp16-ios18@reference"
    assert (record.op, record.api, record.dtype, record.origin) == ("aten.tanh.default", "tanh", "float32", "opinfo")
    assert record.environment == "this-machine"
    assert record.delegated == {"aten.tanh.default": 1}
    assert record.fallback == {}
    assert record.missing_kernels == []
    assert record.mil_ops == {"cast": 1, "tanh": 1}
    assert record.placement == {}
    assert sorted(record.timing) == ["emit", "export", "lower", "run"]
    assert all(0 < seconds < 600 for seconds in record.timing.values())
    assert record.seed is not None
    assert record.error is None
    assert record.reason == ""
    numerics = record.numerics
    assert numerics is not None
    assert numerics.tolerance_class == "ABS_ERROR"
    assert numerics.worst is not None
    assert numerics.limit is not None
    assert 0 < numerics.worst <= numerics.limit
    assert numerics.headroom == pytest.approx(numerics.limit / numerics.worst)
    assert numerics.at
    assert Record.from_json(record.to_json()).to_line() == record.to_line()


def test_partial() -> None:
    record = check(
        Check.of(case_of(lambda x: torch.asinh(torch.sin(x)), X, op="aten.asinh.default"), FP16, "reference")
    )
    assert (record.outcome, record.phase) == (Outcome.PARTIAL, Phase.VALUE)
    assert record.delegated == {"aten.sin.default": 1}
    assert record.fallback == {"aten.asinh.default": 1}
    assert record.mil_ops["sin"] == 1


def test_fallback() -> None:
    record = opinfo("aten.asinh.default/float32/opinfo-c070d7")
    assert (record.outcome, record.phase) == (Outcome.FALLBACK, Phase.VALUE)
    assert record.delegated == {}
    assert record.fallback == {"aten.asinh.default": 1}
    assert record.mil_ops == {}


def test_unsupported_at_edge() -> None:
    record = opinfo("aten.polygamma.default/float32/opinfo-polygamma.polygamma_n_1-b4231f")
    assert (record.outcome, record.phase) == (Outcome.UNSUPPORTED, Phase.EDGE)
    assert record.error is not None
    assert "aten.polygamma.default" in record.error.signature
    assert record.delegated == record.fallback == record.mil_ops == {}
    assert list(record.timing) == ["export"]


def test_unsupported_at_export() -> None:
    record = check(Check.of(case_of(lambda x: x + 1 if x.sum() > 0 else x - 1, X), FP32, "reference"))
    assert (record.outcome, record.phase) == (Outcome.UNSUPPORTED, Phase.EXPORT)
    assert record.error is not None


def test_convert_error() -> None:
    record = opinfo("aten.layer_norm.default/float32/opinfo-90d588")
    assert (record.outcome, record.phase) == (Outcome.CONVERT_ERROR, Phase.CONVERT)
    assert record.error is not None
    assert "gamma must be const" in record.error.signature


def test_emit_error() -> None:
    """torch's named results lower, and then have no serialised form."""
    record = check(Check.of(case_of(lambda x: torch.topk(x, 2), X, op="aten.topk.default"), FP32, "reference"))
    assert (record.outcome, record.phase) == (Outcome.EMIT_ERROR, Phase.EMIT)
    assert record.error is not None
    assert "return_types.topk" in record.error.message


def test_emit_error_planted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EdgeProgramManager, "to_executorch", raising(RuntimeError("planted")))
    record = check(Check.of(case_of(lambda x: x * 2, X), FP32, "reference"))
    assert (record.outcome, record.phase) == (Outcome.EMIT_ERROR, Phase.EMIT)


def test_wrong_value() -> None:
    """A Core ML state begins at zero, whatever the buffer it was made of held."""

    class Counter(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("total", torch.ones(3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.total.add_(x)
            return self.total * 2

    record = check(Check.of(case_of(Counter(), X), FP32, "reference"))
    assert (record.outcome, record.phase) == (Outcome.WRONG_VALUE, Phase.VALUE)
    assert record.mil_ops["read_state"] == 1
    assert "expected" in record.reason
    assert record.error is not None
    assert record.error.signature == "wrong_value"
    assert STILL_WRONG in record.notes
    assert record.numerics is not None
    assert record.numerics.max_abs == 2.0


def test_out_of_range_in_fp16_alone() -> None:
    case = case_of(lambda x: (x * x) / x, torch.full((3,), 1000.0), op="aten.div.Tensor")
    checker = Checker()
    wide, narrow = checker.check(Check.of(case, FP32, "reference")), checker.check(Check.of(case, FP16, "reference"))
    assert wide.outcome is Outcome.PASS
    assert (narrow.outcome, narrow.phase) == (Outcome.OUT_OF_RANGE, Phase.VALUE)
    assert RIGHT_WHEN_WIDENED in narrow.notes


def test_invalid_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mil.Model, "run", raising(mil.InvalidProgram("mul", "out", "declared (3,), got (4,)")))
    record = check(Check.of(case_of(lambda x: x * 2, X), FP32, "reference"))
    assert (record.outcome, record.phase) == (Outcome.INVALID_PROGRAM, Phase.RUN)
    assert record.error is not None
    assert "declared" in record.error.message


def test_load_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mil, "load", raising(mil.MilError("no model in the package")))
    record = check(Check.of(case_of(lambda x: x * 2, X), FP32, "reference"))
    assert (record.outcome, record.phase) == (Outcome.LOAD_ERROR, Phase.LOAD)


def test_run_error_of_the_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mil.Model, "run", raising(mil.MilError("division by zero")))
    record = check(Check.of(case_of(lambda x: x * 2, X), FP32, "reference"))
    assert (record.outcome, record.phase) == (Outcome.RUN_ERROR, Phase.RUN)


def test_the_end_of_what_ran_the_program_is_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mil.Model, "run", raising(UnitDied("the runner app on Test iPhone died while predicting")))
    record = check(Check.of(case_of(lambda x: x * 2, X), FP32, "reference"))
    assert (record.outcome, record.phase) == (Outcome.CRASH, Phase.RUN)
    assert record.error is not None
    assert "the runner app on Test iPhone died while predicting" in record.error.message


def test_run_error_of_a_fallback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole_program, "resolve", lambda _target: raising(RuntimeError("no such kernel")))
    record = check(Check.of(case_of(lambda x: torch.asinh(x), X, op="aten.asinh.default"), FP32, "reference"))
    assert (record.outcome, record.phase) == (Outcome.RUN_ERROR, Phase.RUN)
    assert record.error is not None
    assert "aten.asinh.default: RuntimeError: no such kernel" in record.error.message


def test_not_run_for_want_of_a_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(KERNELS, "tanh")
    record = opinfo("aten.tanh.default/float32/opinfo-8bec82")
    assert (record.outcome, record.phase) == (Outcome.NOT_RUN, Phase.LOAD)
    assert "tanh" in record.reason
    assert record.delegated == {"aten.tanh.default": 1}


@pytest.mark.skipif(sys.platform == "darwin", reason="Core ML predicts on macOS")
@pytest.mark.parametrize("unit", ["cpu_only", "cpu_and_gpu", "cpu_and_ne", "all"])
def test_not_run_where_there_is_no_core_ml_costs_nothing(unit: str) -> None:
    def build() -> Built:
        raise AssertionError("the case was built for a unit that cannot run")

    case = Case(
        id="check/tests/never",
        kind=Kind.OPERATOR,
        op="aten.mul.Tensor",
        api="made",
        dtype="float32",
        origin="tests",
        level=Level.SMOKE,
        build=build,
    )
    record = check(Check.of(case, FP16, unit))
    assert (record.outcome, record.phase) == (Outcome.NOT_RUN, Phase.EAGER)
    assert "macOS" in record.reason
    assert record.timing == {}


def test_not_run_when_the_graph_has_no_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.lowering import graph

    monkeypatch.setattr(graph._Planner, "plan", raising(graph.UnplannableGraph("call of cond")))
    record = check(Check.of(case_of(lambda x: x * 2, X), FP32, "reference"))
    assert (record.outcome, record.phase) == (Outcome.NOT_RUN, Phase.EMIT)
    assert "call of cond" in record.reason


@pytest.mark.parametrize(
    ("wrong_by", "outcome"),
    [
        ((), Outcome.PASS),  # right by each
        ((0,), Outcome.NOT_RUN),  # wrong by the reading taken, right by another
        ((1,), Outcome.NOT_RUN),  # and the other way round
        ((0, 1, 2), Outcome.WRONG_VALUE),  # wrong by each
    ],
)
def test_a_verdict_that_hangs_on_undocumented_semantics(
    monkeypatch: pytest.MonkeyPatch, wrong_by: tuple[int, ...], outcome: Outcome
) -> None:
    right = whole_program.run_program

    def noted(program: Any, unit: Any, *arguments: Any, **options: Any) -> Any:
        result = right(program, unit, *arguments, **options)
        if unit.reading in wrong_by:
            result.outputs = [result.outputs[0] + 1]
        result.notes.append(Note(NoteCode.UNDOCUMENTED, "undocumented semantics: topk: order of ties"))
        return result

    monkeypatch.setattr(whole_program, "run_program", noted)
    record = check(Check.of(case_of(lambda x: x * 2, X), FP32, "reference"))
    assert (record.outcome, record.phase) == (outcome, Phase.VALUE)
    assert any("order of ties" in str(note) for note in record.notes)
    assert ("order of ties" in record.reason) is (outcome is Outcome.NOT_RUN)


def test_invalid_case_of_a_random_operator() -> None:
    record = check(Check.of(case_of(lambda x: torch.bernoulli(x), torch.full((64,), 0.5)), FP32, "reference"))
    assert (record.outcome, record.phase) == (Outcome.INVALID_CASE, Phase.EAGER)
    assert "bernoulli" in record.reason
    assert record.seed == 7


def test_invalid_case_when_eager_fails() -> None:
    record = check(Check.of(case_of(lambda x: x @ torch.ones(5), X), FP32, "reference"))
    assert (record.outcome, record.phase) == (Outcome.INVALID_CASE, Phase.EAGER)
    assert "eager fails" in record.reason


def test_invalid_case_when_a_result_is_no_tensor() -> None:
    record = check(Check.of(case_of(lambda x: (x * 2, "three"), X), FP32, "reference"))
    assert (record.outcome, record.phase) == (Outcome.INVALID_CASE, Phase.EAGER)
    assert record.reason.startswith("a result is no tensor: result 1: str; a program returns tensors, numbers and None")


def test_invalid_case_when_it_cannot_be_built() -> None:
    case = Case(
        id="check/tests/fault",
        kind=Kind.OPERATOR,
        op="aten.mul.Tensor",
        api="made",
        dtype="float32",
        origin="tests",
        level=Level.SMOKE,
        build=raising(CaseFault("no")),
    )
    record = check(Check.of(case, FP32, "reference"))
    assert (record.outcome, record.phase, record.reason) == (Outcome.INVALID_CASE, Phase.EAGER, "no")


# --- other units, and what the checks of a case share -------------------------------------------------------


@pytest.mark.skipif(sys.platform == "darwin", reason="the macOS wheel registers CoreMLBackend")
def test_the_executorch_runtime_says_what_it_lacks() -> None:
    for unit in ("executorch", "executorch:cpu_and_ne"):
        record = opinfo("aten.tanh.default/float32/opinfo-8bec82", unit=unit)
        assert (record.outcome, record.phase) == (Outcome.NOT_RUN, Phase.LOAD)
        assert "error: 0x:20" in record.reason
        assert "Backend CoreMLBackend is not registered" in record.reason
        assert record.delegated == {"aten.tanh.default": 1}


def test_what_is_not_in_the_emitted_file_is_an_emit_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executorch_unit, "read_back", lambda *_arguments: "the .pte does not hold delegate 0 of 1")
    record = opinfo("aten.tanh.default/float32/opinfo-8bec82", unit="executorch")
    assert (record.outcome, record.phase) == (Outcome.EMIT_ERROR, Phase.EMIT)
    assert record.error is not None
    assert record.error.message == "the .pte does not hold delegate 0 of 1"


def test_the_executorch_runtime_runs_the_emitted_program() -> None:
    record = opinfo("aten.asinh.default/float32/opinfo-c070d7", unit="executorch")
    assert (record.outcome, record.phase) == (Outcome.FALLBACK, Phase.VALUE)
    assert record.numerics is not None
    assert record.numerics.worst is not None


def test_an_unknown_unit_is_refused() -> None:
    with pytest.raises(HarnessError, match="'tpu'"):
        check(Check.of(case_of(lambda x: x * 2, X), FP32, "tpu"))


def test_a_change_of_the_partitioning_shares_what_comes_before(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    for name in ("truths_of", "export"):
        original = getattr(corridor, name)

        def counted(*args: Any, name: str = name, original: Callable[..., Any] = original, **kwargs: Any) -> Any:
            calls.append(name)
            return original(*args, **kwargs)

        monkeypatch.setattr(corridor, name, counted)

    def left_out(given: Partitioning) -> Partitioning:
        return replace(given, options=(("skip_ops_for_coreml_delegation", ["aten.sin.default"]),))

    checker = Checker()
    asked = Check.of(case_of(lambda x: torch.sin(x) * 2, X), FP32, "reference")
    plain = checker.check(asked)
    changed = checker.check(asked, change=left_out)
    again = checker.check(asked)
    assert calls == ["truths_of", "export"]
    assert [r.outcome for r in (plain, changed, again)] == [Outcome.PASS, Outcome.PARTIAL, Outcome.PASS]
    assert (plain.fallback, changed.fallback, again.fallback) == ({}, {"aten.sin.default": 1}, {})
    alone = Checker().check(Check.of(partitioned(asked.case, left_out), FP32, "reference"))
    assert (changed.outcome, changed.fallback, changed.delegated) == (alone.outcome, alone.fallback, alone.delegated)
    assert changed.numerics == alone.numerics


def test_the_phases_are_told_in_order() -> None:
    phases: list[Phase] = []
    Checker().check(Check.of(case_of(lambda x: x * 2, X), FP32, "reference"), phases.append)
    ladder = list(dict.fromkeys(phases))
    assert ladder == [
        Phase.EAGER, Phase.EXPORT, Phase.EDGE, Phase.PARTITION, Phase.CONVERT, Phase.PACKAGE, Phase.EMIT, Phase.LOAD,
        Phase.RUN,
    ]  # fmt: skip


def test_the_checks_of_a_case_share_eager_export_and_lowering(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def counted(name: str) -> None:
        right = getattr(corridor, name)

        def planted(*arguments: Any, **others: Any) -> Any:
            calls.append(name)
            return right(*arguments, **others)

        monkeypatch.setattr(corridor, name, planted)

    for name in ("truths_of", "export", "lower"):
        counted(name)
    checker, case = Checker(), find.find("ops/aten.tanh.default/float32/opinfo-8bec82")
    records = [checker.check(Check.of(case, recipe, "reference")) for recipe in (FP32, FP16, FP32)]
    assert calls == ["truths_of", "export", "lower", "lower"]
    assert [r.outcome for r in records] == [Outcome.PASS] * 3
    assert records[0].numerics == records[2].numerics != records[1].numerics
    checker.check(Check.of(find.find("ops/aten.sigmoid.default/float32/opinfo-e8154e"), FP32, "reference"))
    assert calls[4:] == ["truths_of", "export", "lower"]


def test_a_check_is_the_same_in_any_order_and_company() -> None:
    first, second = (
        find.find(f"ops/aten.{name}")
        for name in ("exp.default/float32/opinfo-59162a", "sigmoid.default/float32/opinfo-e8154e")
    )
    alone = check(Check.of(first, FP16, "reference"))
    checker = Checker()
    checker.check(Check.of(second, FP32, "reference"))
    checker.check(Check.of(first, FP32, "reference"))
    again = checker.check(Check.of(first, FP16, "reference"))
    assert again.with_(timing={}) == alone.with_(timing={})


def test_a_cached_lowering_gives_the_same_record(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = find.find("ops/aten.softmax.int/float32/opinfo-fcc21d")
    fresh = Checker(cache=LoweringCache(tmp_path)).check(Check.of(case, FP16, "reference"))
    from harness.lowering import cache

    monkeypatch.setattr(cache, "lower", raising(AssertionError("lowered again")))
    cached = Checker(cache=LoweringCache(tmp_path)).check(Check.of(case, FP16, "reference"))
    assert cached.with_(timing={}) == fresh.with_(timing={})


def test_the_cases_module_and_inputs_are_not_changed() -> None:
    class Scale(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.tensor([1.0, 2.0, 3.0]))
            self.register_buffer("seen", torch.zeros(3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.seen.add_(1)
            return x * self.weight + self.seen

    module, mine = Scale().eval(), X.clone()
    record = check(Check.of(case_of(module, mine), FP16, "reference"))
    assert record.outcome is Outcome.PASS, record
    assert torch.equal(mine, X)
    assert module.weight.tolist() == [1.0, 2.0, 3.0]
    assert module.seen.tolist() == [0.0, 0.0, 0.0]
    assert module.weight.dtype is torch.float32


def test_a_fault_of_the_harness_is_not_made_an_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ReferenceUnit, "open", raising(TypeError("ours")))
    with pytest.raises(TypeError, match="ours"):
        check(Check.of(case_of(lambda x: x * 2, X), FP32, "reference"))


# What a module of a user's own is told beside its outcome.


def users(module: torch.nn.Module | Callable[..., object], *inputs: torch.Tensor) -> Case:
    return replace(case_of(module, *inputs), kind=Kind.USER, op="check.made", dtype="mixed")


def test_a_users_record_names_the_operator_that_a_conversion_stopped_at() -> None:
    def fails(x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.elu(x * 2, 2) + 1

    mine = check(Check.of(users(fails, X), FP32, "reference"))
    assert (mine.outcome, mine.blamed, mine.dtype) == (Outcome.CONVERT_ERROR, ["aten.elu.default"], "float32")
    ours = check(Check.of(case_of(fails, X, op="aten.elu.default"), FP32, "reference"))
    assert (ours.outcome, ours.notes) == (Outcome.CONVERT_ERROR, [])  # it is about that operator
    other = check(Check.of(case_of(fails, X, op="aten.celu.default"), FP32, "reference"))
    assert other.blamed == ["aten.elu.default"]


@pytest.mark.parametrize(
    ("kind", "told"), [(Kind.USER, True), (Kind.MODULE, True), (Kind.MODEL, True), (Kind.STATE, False)]
)
def test_the_operator_of_a_wrong_answer_is_looked_for_in_a_module(
    kind: Kind, told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def masked(x: torch.Tensor) -> torch.Tensor:
        mask = x > 0
        return torch.zeros_like(mask, dtype=torch.float32).masked_fill(mask, -2.0) * x

    monkeypatch.setattr(corridor, "blamed", lambda *_: ([Place("aten.masked_fill.Scalar")], []))
    record = check(Check.of(replace(case_of(masked, X), kind=kind, op="torch.nn.Masked"), FP32, "reference"))
    assert record.outcome is Outcome.WRONG_VALUE
    assert record.blamed == (["aten.masked_fill.Scalar"] if told else [])


def test_a_failing_program_tells_of_states_that_begin_elsewhere_than_at_zero() -> None:
    class Total(torch.nn.Module):
        def __init__(self, start: float) -> None:
            super().__init__()
            self.register_buffer("total", torch.full((3,), start))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.total.add_(x)
            return self.total * 2

    wrong, right = (check(Check.of(users(Total(start), X), FP32, "reference")) for start in (3.0, 0.0))
    assert (wrong.outcome, right.outcome) == (Outcome.WRONG_VALUE, Outcome.PASS)
    assert Note(NoteCode.STATE_NOT_ZERO, "total") in wrong.notes
    assert "state_not_zero" not in right.note_codes


def test_the_whole_error_of_a_users_module_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "why it cannot be converted " * 100
    from executorch.backends.apple.coreml.compiler import CoreMLBackend

    monkeypatch.setattr(CoreMLBackend, "preprocess_model", raising(RuntimeError(text)))
    mine, ours = (check(Check.of(made(lambda x: x * 2, X), FP32, "reference")) for made in (users, case_of))
    assert mine.error is not None
    assert ours.error is not None
    assert mine.error.message == text.strip()
    assert ours.error.message == text[:600]


def test_of_a_model_a_cached_lowering_says_the_same(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its division, FLOPs and lowering time are of the program, whether it was lowered now or before."""
    from harness.lowering import cache

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = torch.nn.Linear(4, 7)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.linear(torch.asinh(x))

    def build() -> Built:
        torch.manual_seed(0)
        return Built(Net().eval(), (torch.randn(3, 4),), seed=0)

    case = Case(
        id="models/net/float32/seed-0",
        kind=Kind.MODEL,
        op="model.net",
        api="",
        dtype="float32",
        origin="model",
        level=Level.STANDARD,
        build=build,
        whole_model=True,
    )
    fresh = Checker(cache=LoweringCache(tmp_path)).check(Check.of(case, FP16, "reference"))
    monkeypatch.setattr(cache, "lower", raising(AssertionError("lowered again")))
    cached = Checker(cache=LoweringCache(tmp_path)).check(Check.of(case, FP16, "reference"))
    assert fresh.outcome is Outcome.PARTIAL
    assert fresh.division == Division(1, (Island({"aten.asinh.default": 1}),), 2 * 3 * 4 * 7, 2 * 3 * 4 * 7)
    assert fresh.lowering_s is not None
    assert fresh.numerics is not None
    assert (fresh.numerics.top1, fresh.numerics.top5) == (1.0, 1.0)
    assert cached.with_(timing={}) == fresh.with_(timing={})
