"""The `.pte` of another compute unit is the one ExecuTorch itself would have emitted."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from executorch.exir import EdgeProgramManager
from executorch.exir.backend.compile_spec_schema import CompileSpec

from harness.cases.case import Built, Method, Partitioning
from harness.evidence.recipe import Recipe
from harness.lowering import emitted
from harness.lowering.emitted import COMPUTE_UNITS, read, with_compute_unit
from harness.lowering.lower import export, lower

UNITS = ("cpu_only", "cpu_and_gpu", "cpu_and_ne", "all")
SKIP = Partitioning(
    options=(("take_over_mutable_buffer", False), ("skip_ops_for_coreml_delegation", ["aten.add.Tensor"]))
)


class Constants(torch.nn.Module):
    """Two delegates around a fallback operator, which takes a parameter of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(3, 3)
        self.weight = torch.nn.Parameter(torch.tensor([[0.5, -1.0, 2.0]]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.asinh(self.linear(x)).atan2(self.weight) * torch.asinh(self.weight)


class Counter(torch.nn.Module):
    """State outside of delegates: the buffer's first value is in the file."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("total", torch.tensor([1.0, 2.0, 3.0]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.total.copy_(torch.asinh(self.total) + torch.asinh(x))
        return torch.asinh(self.total)


class Function(torch.nn.Module):
    def __init__(self, function: Callable[..., torch.Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        return self.function(*inputs)


def program(name: str) -> Built:
    torch.manual_seed(0)
    x = torch.tensor([0.5, -1.0, 2.0])
    return {
        "constants": lambda: Built(Constants().eval(), (x,), 0),
        "state": lambda: Built(Counter().eval(), (x,), 0, partitioning=SKIP),
        "methods": lambda: Built(
            Function(lambda x: x * 2), (x,), 0, method="decode", beside=(Method("forward", Function(torch.relu), (x,)),)
        ),
        "fallback": lambda: Built(Function(torch.asinh), (x,), 0),
    }[name]()


@pytest.mark.parametrize("name", ["constants", "state", "methods", "fallback"])
def test_it_is_what_executorch_emits_for_that_unit(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Byte for byte: the same edge program is emitted once more for each unit."""
    expected: dict[str, bytes] = {}
    emit = EdgeProgramManager.to_executorch

    def emit_each(self: EdgeProgramManager, *arguments: Any) -> Any:
        for unit in UNITS:
            manager = copy.deepcopy(self)
            for method in manager.methods:
                for module in manager.exported_program(method).graph_module.children():
                    specs = getattr(module, "_compile_specs", [])
                    specs[:] = [CompileSpec(s.key, unit.encode() if s.key == COMPUTE_UNITS else s.value) for s in specs]
            expected[unit] = bytes(emit(manager, *arguments).buffer)
        return emit(self, *arguments)

    monkeypatch.setattr(EdgeProgramManager, "to_executorch", emit_each)
    found = lower(export(program(name)), Recipe.parse("fp16-ios18"))
    assert found.failure is None
    assert found.pte == expected["all"]
    assert len(set(expected.values())) == (1 if name == "fallback" else 4)
    assert {unit: with_compute_unit(found.pte, unit) for unit in UNITS} == expected
    assert with_compute_unit(expected["cpu_and_ne"], "all") == found.pte


def test_a_delegate_without_the_spec_gets_one(lowered: Callable[..., Any]) -> None:
    """Without it the runtime takes all devices."""
    pte = lowered(Function(lambda x: x * 2), torch.ones(2)).pte
    file = read(pte)
    (delegate,) = file.program.execution_plan[0].delegates
    delegate.compile_specs = [spec for spec in delegate.compile_specs if spec.key != COMPUTE_UNITS]
    without = emitted._written(file)
    assert with_compute_unit(without, "all") == pte


def test_bytes_that_are_no_program_are_refused(lowered: Callable[..., Any]) -> None:
    pte = lowered(Function(lambda x: x * 2), torch.ones(2)).pte
    for damaged in (b"", b"no program at all" * 100, pte[:200], pte[:-1]):
        with pytest.raises(ValueError, match=r"^the \.pte cannot be read back"):
            with_compute_unit(damaged, "all")


def test_a_file_that_does_not_come_back_is_not_rewritten(lowered: Callable[..., Any]) -> None:
    """Bytes that no segment covers would be lost."""
    pte = lowered(Function(lambda x: x * 2), torch.ones(2)).pte
    with pytest.raises(ValueError, match="is another file"):
        with_compute_unit(pte + b"!", "all")
