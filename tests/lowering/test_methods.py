"""Programs of several methods: one package with a function for each, lowered together and run one by one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from harness.cases.case import Built, Method
from harness.evidence.recipe import Recipe
from harness.evidence.vocabulary import Outcome, Phase
from harness.lowering.cache import LoweringCache
from harness.lowering.lower import Exported, Lowered, export, lower
from harness.lowering.readback import read_back, written
from harness.units.base import ProgramContradiction
from harness.units.reference import ReferenceUnit
from harness.units.whole_program import run_program

FP32 = Recipe.parse("fp32-ios18")
LONG, SHORT = torch.linspace(-2, 2, 32).reshape(4, 8), torch.linspace(-1, 1, 8).reshape(1, 8)


class Prefill(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear = torch.nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.linear(x))


class Decode(torch.nn.Module):
    """The same weights, another computation, two inputs."""

    def __init__(self, prefill: Prefill) -> None:
        super().__init__()
        self.prefill = prefill

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self.prefill.linear(x) * 2 - y


PREFILL = Prefill().eval()
DECODE = Decode(PREFILL).eval()
INPUTS = {"forward": (LONG,), "decode": (SHORT, SHORT[0])}
MODULES = {"forward": PREFILL, "decode": DECODE}


def built(method: str) -> Built:
    beside = tuple(Method(name, MODULES[name], INPUTS[name]) for name in MODULES if name != method)
    return Built(MODULES[method], INPUTS[method], 0, method=method, beside=beside)


@pytest.fixture(scope="module")
def exported() -> dict[str, Exported]:
    return {name: export(built(name)) for name in MODULES}


@pytest.fixture(scope="module")
def both(exported: dict[str, Exported]) -> dict[str, Lowered]:
    return {name: lower(each, FP32) for name, each in exported.items()}


def test_each_method_is_a_program_of_its_own(both: dict[str, Lowered]) -> None:
    for name, found in both.items():
        assert found.failure is None
        assert found.program is not None
        assert found.program.method == name
        (delegate,) = found.program.delegates
        assert delegate.function == name
        assert delegate.processed.startswith(b"CMJR")
        assert delegate.shared
    assert "aten.relu.default" in both["forward"].exported_ops
    assert "aten.relu.default" not in both["decode"].exported_ops


@pytest.mark.parametrize("method", ["forward", "decode"])
def test_the_reference_runs_the_function_of_the_method(both: dict[str, Lowered], method: str) -> None:
    program = both[method].program
    assert program is not None
    result = run_program(program, ReferenceUnit(mode="exact"), INPUTS[method])
    torch.testing.assert_close(result.outputs, [MODULES[method](*INPUTS[method])], check_dtype=False)
    assert ("relu" in result.mil_ops) == (method == "forward")


def test_the_package_has_the_function_or_is_refused(both: dict[str, Lowered], tmp_path: Path) -> None:
    program = both["decode"].program
    assert program is not None
    (delegate,) = program.delegates
    unpacked = delegate.unpack(tmp_path)
    assert (unpacked.function, unpacked.input_names) == ("decode", ("x", "y"))
    with pytest.raises(ProgramContradiction, match="lacks function encode"):
        ReferenceUnit().open(replace(unpacked, function="encode"))
    (tmp_path / "again").mkdir()
    elsewhere = replace(delegate, processed=delegate.processed.replace(b'"decode"', b'"encode"'))
    with pytest.raises(ValueError, match=r"no function encode \(it has decode, forward\)"):
        elsewhere.unpack(tmp_path / "again")


def test_the_file_holds_both_and_the_package_once(both: dict[str, Lowered]) -> None:
    pte, program = both["decode"].pte, both["decode"].program
    assert program is not None
    (delegate,) = program.delegates
    assert pte.count(delegate.shared) == 1
    with written(pte) as path:
        assert read_back(path, program) is None
        assert (
            read_back(path, replace(program, method="prefill"))
            == "the .pte has no method prefill (it has decode, forward)"
        )
        told = read_back(path, replace(program, delegates=(replace(delegate, shared=b"another"),)))
    assert told is not None
    assert told.startswith("the .pte does not hold the data coreml_executorch_")


def test_a_fallback_between_delegates_makes_two_shared_packages() -> None:
    class Cut(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.asinh(PREFILL.linear(x)) * 2

    cut = Cut().eval()
    found = lower(export(Built(cut, (SHORT,), 0, method="decode", beside=(Method("forward", cut, (LONG,)),))), FP32)
    program = found.program
    assert program is not None
    assert [delegate.function for delegate in program.delegates] == ["decode", "decode"]
    assert len({delegate.shared for delegate in program.delegates}) == 2
    with written(found.pte) as path:
        assert read_back(path, program) is None
    torch.testing.assert_close(run_program(program, ReferenceUnit(mode="exact"), (SHORT,)).outputs, [cut(SHORT)])


def test_methods_with_unequal_numbers_of_delegates_fail_in_packaging() -> None:
    """ExecuTorch shares weights by position, and says so."""

    class Broken(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.asinh(x * 2) * 2

    phases: list[Phase] = []
    beside = (Method("decode", Broken(), (LONG,)),)
    found = lower(export(Built(PREFILL, (LONG,), 0, beside=beside)), FP32, phases.append)
    assert found.failure is not None
    assert (found.failure.phase, found.failure.outcome) == (Phase.PACKAGE, Outcome.CONVERT_ERROR)
    assert "partitions" in found.failure.error.message


def test_the_cache_tells_methods_and_their_neighbours_apart(exported: dict[str, Exported], tmp_path: Path) -> None:
    cache = LoweringCache(tmp_path)
    alone = export(Built(PREFILL, (LONG,), 0))
    paths = {cache._path("case", each, FP32) for each in (*exported.values(), alone)}
    assert len(paths) == 3
    assert cache._path("case", export(built("decode")), FP32) in paths


def test_a_cached_method_is_the_lowered_one(exported: dict[str, Exported], tmp_path: Path) -> None:
    cache = LoweringCache(tmp_path)
    first = cache.lower("case", exported["decode"], FP32)
    assert cache.lower("case", exported["decode"], FP32) == first
    assert first.program is not None
    assert first.program.delegates[0].shared
