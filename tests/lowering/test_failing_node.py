"""Which node lowering stopped at: of a converter, of ExecuTorch's passes, or none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from harness.cases.case import Built
from harness.evidence.notes import NoteCode
from harness.evidence.recipe import Recipe
from harness.lowering.failing_node import FailingNode, failing_node
from harness.lowering.lower import export, lower

X = torch.randn(2, 3)


class Calls(torch.nn.Module):
    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: torch.Tensor) -> Any:
        return self.function(*inputs)


def notes(function: Callable[..., Any], *inputs: torch.Tensor, recipe: str = "fp32-ios18") -> list[tuple[str, str]]:
    found = lower(export(Built(Calls(function), inputs, 0)), Recipe.parse(recipe))
    assert found.failure is not None
    return [(str(note.code), note.detail) for note in found.failure.notes]


OPERATOR, INPUT, DTYPE = str(NoteCode.OPERATOR), str(NoteCode.INPUT), str(NoteCode.DTYPE_CHANGED)


@pytest.mark.parametrize(
    ("function", "inputs", "expected"),
    [
        (lambda x: F.elu(x * 2, 2) + 1, (X,), [(OPERATOR, "aten.elu.default")]),
        (lambda x: (x * 2).to(torch.bfloat16) + 1, (X,), [(OPERATOR, "dim_order_ops._to_dim_order_copy.default")]),
        (  # the element of a result that is not bound is the operator's
            lambda x: F.max_pool2d(x + 1, 2, 2, return_indices=True),
            (torch.ones(1, 1, 4, 4),),
            [(OPERATOR, "aten.max_pool2d_with_indices.default")],
        ),
        (  # a broadcast inside a delegate, told from those beside it
            lambda x, y: (torch.broadcast_tensors(x * 2, y)[0], torch.tanh(x)),
            (torch.ones(3), torch.ones(2, 1)),
            [(OPERATOR, "aten.broadcast_tensors.default")],
        ),
        (
            lambda x, y: (x + 1, torch.fmod(y, 2)),
            (torch.ones(3), torch.ones(1, 2).expand(3, 2)),
            [(INPUT, "inputs_1")],
        ),
    ],
)
def test_a_failure_names_what_it_stopped_at(function: Any, inputs: Any, expected: Any) -> None:
    assert notes(function, *inputs) == expected


@pytest.mark.parametrize(
    ("function", "inputs", "changed"),
    [
        (lambda x: x + torch.arange(3, dtype=torch.float32).sin(), (X,), ["aten.arange.default"]),
        # the one farthest back, through what hands it on
        (lambda x: x * torch.exp(torch.arange(3, dtype=torch.float32)[None]), (X,), ["aten.arange.default"]),
        (lambda x: x + torch.arange(3).sin(), (X,), []),  # integers in the graph as well
        (lambda x: x.sin(), (torch.ones(2, dtype=torch.int32),), []),
    ],
)
def test_operands_of_another_dtype_than_in_the_graph_are_named(function: Any, inputs: Any, changed: Any) -> None:
    found = notes(function, *inputs)
    assert [detail for code, detail in found if code == DTYPE] == changed
    assert [code for code, _ in found].count(OPERATOR) == 1


def test_a_failure_without_a_node_is_put_down_to_the_only_operator() -> None:
    empty = torch.randn(0, 3)
    assert notes(lambda x: x.roll([1], [0]), empty, recipe="fp16-ios18") == [(OPERATOR, "aten.roll.default")]
    assert notes(lambda x: x.roll([1], [0]) + 1, empty, recipe="fp16-ios18") == []  # a pass of coremltools failed


def test_an_exception_of_something_else_names_nothing() -> None:
    with pytest.raises(ValueError) as caught:
        int("x")
    assert failing_node(caught.value) is None
    assert FailingNode() == FailingNode("", "", ())
