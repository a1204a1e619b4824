"""The real runtime of this machine: what it runs, and what it refuses in which words."""

from __future__ import annotations

import importlib.machinery
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from harness.cases.case import Built
from harness.evidence.recipe import Recipe
from harness.evidence.vocabulary import Phase
from harness.lowering.lower import Lowered, export, lower
from harness.lowering.program import Delegate, LoweredProgram
from harness.units import executorch, host
from harness.units.base import EmittedOtherwise, LoadFailed, NotRunnable, PredictFailed, ProgramResult
from harness.units.executorch import ExecuTorchUnit

INPUT = torch.tensor([[0.5, -1.0, 2.0], [0.0, 0.25, -3.0]])
on_mac = pytest.mark.skipif(sys.platform == "darwin", reason="the macOS wheel registers CoreMLBackend")


class Asinh(torch.nn.Module):
    """Core ML has no asinh: the operator falls back, and the program has no delegate."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.asinh(x), torch.asinh(torch.asinh(x))


class Double(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 2


def lowered(module: torch.nn.Module) -> Lowered:
    result = lower(export(Built(module.eval(), (INPUT,), seed=0)), Recipe.parse("fp32-ios18"))
    assert result.failure is None, result.failure
    return result


@pytest.fixture(scope="module")
def fallen_back() -> Lowered:
    return lowered(Asinh())


@pytest.fixture(scope="module")
def delegated() -> Lowered:
    return lowered(Double())


@pytest.fixture(autouse=True)
def _build() -> Iterator[None]:
    yield
    executorch.built_with.cache_clear()


def run(program: Lowered, inputs: list[torch.Tensor], unit: str = "") -> ProgramResult:
    assert program.emitted is not None
    return ExecuTorchUnit(unit).run(program.emitted, inputs)


def test_a_program_that_fell_back_entirely_runs_anywhere(fallen_back: Lowered) -> None:
    for unit in ("", "cpu_only"):
        result = run(fallen_back, [INPUT], unit)
        torch.testing.assert_close(result.outputs, list(Asinh()(INPUT)))
        assert result.again is None


def test_calls_that_are_refused_are_told_from_those_that_are_answered(fallen_back: Lowered) -> None:
    assert fallen_back.emitted is not None
    calls = [[torch.zeros(2, 2)], [INPUT], [torch.zeros(INPUT.numel() + 1)]]
    assert ExecuTorchUnit().run(fallen_back.emitted, [INPUT], refused=calls).answered == [1]


def test_the_phases_are_told(fallen_back: Lowered) -> None:
    phases: list[Phase] = []
    assert fallen_back.emitted is not None
    ExecuTorchUnit().run(fallen_back.emitted, [INPUT], phases.append)
    assert phases == [Phase.EMIT, Phase.LOAD, Phase.RUN]


def test_it_is_loaded_from_a_file(fallen_back: Lowered, monkeypatch: pytest.MonkeyPatch) -> None:
    """The path, for the runtime to map: bytes would be another loader than an application's."""
    from executorch.runtime import Runtime

    seen: list[object] = []
    load = Runtime.load_program
    monkeypatch.setattr(Runtime, "load_program", lambda self, data: (seen.append(data), load(self, data))[1])
    run(fallen_back, [INPUT])
    (path,) = seen
    assert isinstance(path, Path)
    assert not path.exists()


def test_outputs_are_copies_and_inputs_untouched(fallen_back: Lowered) -> None:
    before = INPUT.clone()
    first = run(fallen_back, [INPUT]).outputs
    run(fallen_back, [INPUT * 2])
    torch.testing.assert_close(first, list(Asinh()(INPUT)))
    assert torch.equal(INPUT, before)


def test_inputs_need_not_be_contiguous(fallen_back: Lowered) -> None:
    torch.testing.assert_close(run(fallen_back, [INPUT.T.contiguous().T]).outputs, list(Asinh()(INPUT)))


@on_mac
@pytest.mark.parametrize("unit", ["", "cpu_only", "cpu_and_ne"])
def test_a_delegated_program_is_refused_in_the_runtimes_own_words(delegated: Lowered, unit: str) -> None:
    """Its error number, the line it logs, and what it has instead."""
    assert ExecuTorchUnit(unit).unavailable("iOS18") is None
    with pytest.raises(NotRunnable) as caught:
        run(delegated, [INPUT], unit)
    told = str(caught.value)
    assert "Failed to load method forward, error: 0x:20" in told
    assert "Backend CoreMLBackend is not registered" in told
    assert f"(registered: {', '.join(sorted(executorch.registered_backends()))})" in told


@on_mac
def test_with_the_backend_the_same_refusal_is_a_load_error(delegated: Lowered, monkeypatch) -> None:
    monkeypatch.setattr(executorch, "registered_backends", lambda: [executorch.BACKEND])
    with pytest.raises(LoadFailed, match=r"error: 0x:20; .*Backend CoreMLBackend is not registered"):
        run(delegated, [INPUT])


def test_a_delegated_program_runs_where_the_backend_is(delegated: Lowered) -> None:
    if executorch.BACKEND not in executorch.registered_backends():
        pytest.skip("this runtime does not register CoreMLBackend")
    if reason := ExecuTorchUnit().unavailable("iOS18"):
        pytest.skip(reason)
    torch.testing.assert_close(run(delegated, [INPUT]).outputs, [INPUT * 2])


def test_a_system_that_is_too_old_is_told_before_lowering(monkeypatch) -> None:
    unit = ExecuTorchUnit()
    monkeypatch.setattr(host, "macos_version", lambda: (14, 7))
    assert unit.unavailable("iOS17") is None
    assert unit.unavailable("iOS18") == "an iOS18 program needs macOS 15 or later; this is macOS 14.7"
    monkeypatch.setattr(host, "macos_version", lambda: None)
    assert unit.unavailable("iOS26") is None


def test_an_emitted_file_that_is_not_the_program_is_not_loaded(fallen_back: Lowered, delegated: Lowered) -> None:
    with pytest.raises(EmittedOtherwise, match="no extended header, so no delegate's data"):
        run(replace(fallen_back, program=delegated.program), [INPUT])
    for unit in ("", "cpu_only"):
        with pytest.raises(EmittedOtherwise, match="cannot be read back"):
            run(replace(fallen_back, pte=b"no program at all" * 100), [INPUT], unit)


def test_a_wrong_input_is_a_failed_prediction(fallen_back: Lowered) -> None:
    with pytest.raises(PredictFailed, match=r"resize|Expected shape"):
        run(fallen_back, [torch.zeros(2, 4)])
    with pytest.raises(PredictFailed):
        run(fallen_back, [])


def test_another_method_than_the_files_is_told(fallen_back: Lowered) -> None:
    assert fallen_back.program is not None
    with pytest.raises(EmittedOtherwise, match=r"no method decode \(it has forward\)"):
        run(replace(fallen_back, program=replace(fallen_back.program, method="decode")), [INPUT])


def with_answers(monkeypatch: pytest.MonkeyPatch, *answers: torch.Tensor) -> list[object]:
    """The runtime replaced by one that gives these answers in turn; the loaded methods come back."""
    supply, loads = iter(answers), []

    class Method:
        def execute(self, _inputs: list[torch.Tensor]) -> list[torch.Tensor]:
            return [next(supply)]

    def load(path: Path, program: LoweredProgram) -> object:
        loads.append(path)
        return type("Loaded", (), {"method": Method()})()

    monkeypatch.setattr(executorch, "_load", load)
    return loads


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.bool])
def test_a_second_answer_is_kept_when_it_is_another(fallen_back: Lowered, monkeypatch, dtype: torch.dtype) -> None:
    one, other = torch.ones(3, dtype=dtype), torch.zeros(3, dtype=dtype)
    loads = with_answers(monkeypatch, one, other, one, one.clone())
    result = run(fallen_back, [INPUT])
    assert torch.equal(result.outputs[0], one)
    assert result.again is not None
    assert torch.equal(result.again[0], other)
    assert run(fallen_back, [INPUT]).again is None
    assert len(loads) == 2


def test_nan_is_the_same_answer_as_nan(fallen_back: Lowered, monkeypatch) -> None:
    with_answers(monkeypatch, torch.tensor(torch.nan), torch.tensor(torch.nan))
    assert run(fallen_back, [INPUT]).again is None


def test_a_program_with_state_is_loaded_anew_for_the_second_answer(fallen_back: Lowered, monkeypatch) -> None:
    loads = with_answers(monkeypatch, *[torch.ones(1)] * 2)
    assert fallen_back.program is not None
    mutations = ((fallen_back.program.inputs[0].value, fallen_back.program.inputs[0].value),)
    run(replace(fallen_back, program=replace(fallen_back.program, mutations=mutations)), [INPUT])
    assert len(loads) == 2


# --- what the backend was built with ------------------------------------------------------------------------------

CLASS, STATE, NONE = b"MLModelConfiguration\0", b"newState\0", executorch._NO_FUNCTIONS


@pytest.fixture
def build(tmp_path: Path, monkeypatch) -> Callable[[bytes], dict[str, bool]]:
    """A library of the backend's with this inside, in the place where a macOS wheel has it."""

    def make(code: bytes) -> dict[str, bool]:
        library = tmp_path / "lib" / "libexecutorch_backend_coreml.dylib"
        library.parent.mkdir(exist_ok=True)
        library.write_bytes(b"\xcf\xfa\xed\xfe" + code)
        spec = importlib.machinery.ModuleSpec("executorch", None, is_package=True)
        spec.submodule_search_locations = [str(tmp_path)]
        monkeypatch.setattr(executorch.importlib.util, "find_spec", lambda _name: spec)
        executorch.built_with.cache_clear()
        return executorch.built_with()

    return make


def test_the_library_says_what_it_was_built_with(build) -> None:
    assert build(CLASS + NONE) == {"state": False, "functions": False}  # the wheel of executorch 1.5.1, SDK 14.5
    assert build(CLASS + STATE) == {"state": True, "functions": True}
    assert build(b"another library") == {}


@on_mac
def test_without_the_library_nothing_is_claimed() -> None:
    assert executorch.built_with() == {}


def test_what_a_program_needs_and_the_backend_lacks(build) -> None:
    plain = Delegate(b"{}", (), (), {})
    stateful = replace(plain, buffers=("cache",))
    function = replace(plain, processed=b'CMJR{"version": 1, "key": "k", "functionName": "decode"}')

    def lacking(*delegates: Delegate) -> str | None:
        return executorch._lacking(LoweredProgram((), (), (), delegates))

    build(CLASS + NONE)
    without = "this ExecuTorch runtime's CoreMLBackend was built without Core ML's "
    assert lacking() is None
    assert lacking(plain) is None
    assert lacking(plain, stateful) == without + "state"
    assert lacking(function) == without + "multifunction models"
    assert lacking(stateful, function) == without + "state and multifunction models"
    build(CLASS + STATE)
    assert lacking(stateful, function) is None
    build(b"another library")
    assert lacking(stateful, function) is None
