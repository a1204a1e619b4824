from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from executorch.exir.program import _program

from harness.cases.case import AS_IT_IS, Partitioning
from harness.evidence.recipe import Recipe
from harness.evidence.vocabulary import Phase
from harness.lowering.edge import EdgeStage, edge_key, is_taken_apart
from harness.lowering.lower import Exported, lower

FP32, FP16, OLDER = (Recipe.parse(name) for name in ("fp32-ios18", "fp16-ios18", "fp16-ios17"))


class Scale(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.arange(3.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.asinh(x * self.weight) * 2


class Counting:
    """Around ExecuTorch's function, counting its calls; with `error` it raises that instead."""

    def __init__(self, error: Exception | None = None) -> None:
        self.calls, self.error, self.original = 0, error, _program._gen_edge_manager_for_partitioners

    def __call__(self, *arguments: object) -> object:
        self.calls += 1
        if self.error is not None:
            raise self.error
        return self.original(*arguments)


@pytest.fixture
def generating(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Counting]:
    def make(error: Exception | None = None) -> Counting:
        counting = Counting(error)
        monkeypatch.setattr(_program, "_gen_edge_manager_for_partitioners", counting)
        return counting

    return make


def test_recipes_share_the_edge_program(exported: Callable[..., Exported], generating: Callable[..., Counting]) -> None:
    counting = generating()
    shared = exported(Scale(), torch.ones(3))
    found = [lower(shared, recipe) for recipe in (FP32, FP16, OLDER, FP32)]
    assert counting.calls == 1
    assert all(one.failure is None for one in found)
    plain = [lower(exported(Scale(), torch.ones(3)), recipe) for recipe in (FP32, FP16, OLDER)]
    assert counting.calls == 4
    for one, other in zip(found, plain, strict=False):
        assert one.program is not None
        assert other.program is not None
        assert one.program.steps == other.program.steps
        assert len(one.program.delegates) == 2
        assert [d.ops for d in one.program.delegates] == [d.ops for d in other.program.delegates]


def test_what_a_recipe_does_to_it_does_not_reach_the_next(exported: Callable[..., Exported]) -> None:
    """Delegates take the weights along: the next recipe has them all the same."""
    shared = exported(Scale(), torch.ones(3))
    first, second = lower(shared, FP32), lower(shared, FP32)
    assert first.program is not None
    assert second.program is not None
    assert [len(d.processed) for d in first.program.delegates] == [len(d.processed) for d in second.program.delegates]


def test_an_error_is_every_recipes(exported: Callable[..., Exported], generating: Callable[..., Counting]) -> None:
    counting = generating(ValueError("planted"))
    shared = exported(Scale(), torch.ones(3))
    first, second = lower(shared, FP32), lower(shared, FP16)
    assert counting.calls == 1
    assert first.failure is not None
    assert first.failure == second.failure
    assert (first.failure.phase, first.failure.error.message) == (Phase.EDGE, "planted")


def test_executorch_has_its_function_back(
    exported: Callable[..., Exported], generating: Callable[..., Counting]
) -> None:
    counting = generating()
    lower(exported(Scale(), torch.ones(3)), FP32)
    assert _program._gen_edge_manager_for_partitioners is counting


def test_an_executorch_that_makes_them_elsewhere_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(_program, "_gen_edge_manager_for_partitioners")
    stage = EdgeStage()
    with stage.shared():
        assert not hasattr(_program, "_gen_edge_manager_for_partitioners")
    assert not stage.is_made


def left_out(*names: str, **others: object) -> Partitioning:
    return Partitioning(options=(("skip_ops_for_coreml_delegation", list(names)), *others.items()))


@pytest.mark.parametrize(
    "names", [(), ("aten.mul.tensor",), ("aten.asinh.default", "aten.mul.tensor")], ids=lambda names: len(names)
)
def test_what_is_left_out_of_the_delegate_shares_the_edge_program(
    names: tuple[str, ...], exported: Callable[..., Exported], generating: Callable[..., Counting]
) -> None:
    counting = generating()
    shared = exported(Scale(), torch.ones(3))
    lower(shared, FP32)
    found = lower(replace(shared, partitioning=left_out(*names)), FP32)
    assert counting.calls == 1
    alone = lower(replace(exported(Scale(), torch.ones(3)), partitioning=left_out(*names)), FP32)
    assert counting.calls == 2
    assert found.program is not None
    assert alone.program is not None
    assert found.program.steps == alone.program.steps
    assert [d.ops for d in found.program.delegates] == [d.ops for d in alone.program.delegates]


@pytest.mark.parametrize(
    "other",
    [
        left_out("mul.tensor"),
        Partitioning(options=(("lower_full_graph", True),)),
        Partitioning(admit=("aten.asinh.default",)),
        Partitioning(keep=("aten.asinh.default",)),
        Partitioning(claim=("aten.asinh.default",)),
    ],
)
def test_what_decides_what_is_decomposed_does_not_share_it(other: Partitioning) -> None:
    assert edge_key(other, False) != edge_key(AS_IT_IS, False)
    assert edge_key(other, True) != edge_key(other, False)
    assert edge_key(other, False) == edge_key(replace(other), False)


def test_keys_do_not_hang_on_the_order_of_options() -> None:
    one = Partitioning(
        options=(("take_over_mutable_buffer", False), ("skip_ops_for_coreml_delegation", ["a.b", "c.d"]))
    )
    other = Partitioning(
        options=(("skip_ops_for_coreml_delegation", ["c.d", "a.b"]), ("take_over_mutable_buffer", False))
    )
    assert edge_key(one, False) == edge_key(other, False)
    assert edge_key(left_out("mul.tensor", "aten.mul.tensor"), False) == edge_key(left_out("mul.tensor"), False)


@pytest.mark.parametrize(
    ("operator", "taken_apart"),
    [
        ("aten.silu.default", True),
        ("aten.linear.default", True),
        ("aten.gelu.default", False),
        ("aten.div.Tensor", False),
        ("aten.no_operator.default", False),
        ("no_namespace.no_operator.default", False),
        ("", False),
    ],
)
def test_what_the_edge_stage_takes_apart(operator: str, taken_apart: bool) -> None:
    assert is_taken_apart(operator) is taken_apart
