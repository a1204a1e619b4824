"""A converter that refuses the dtype of an operand: the operator that gave it another than in the graph is named."""

import pytest
import torch

from harness.cases.case import Built
from harness.evidence.recipe import Recipe
from harness.lowering.lower import export, lower

X = torch.randn(2, 3)


class Calls(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


@pytest.mark.parametrize(
    ("function", "x", "changed"),
    [
        (lambda x: x + torch.arange(3, dtype=torch.float32).sin(), X, ("aten.arange.default",)),
        # the one farthest back, through what hands it on
        (lambda x: x * torch.exp(torch.arange(3, dtype=torch.float32)[None]), X, ("aten.arange.default",)),
        (lambda x: x + torch.arange(3).sin(), X, ()),  # integers in the graph as well
        (lambda x: x.sin(), torch.ones(2, dtype=torch.int32), ()),
    ],
)
def test_operands_of_another_dtype_than_in_the_graph_are_named(function, x, changed):
    failure = lower(export(Built(Calls(function), (x,), 0)), Recipe.parse("fp32-ios18")).failure
    assert failure is not None
    assert failure.place.dtype_changed == changed
    assert failure.place.operator in ("aten.sin.default", "aten.exp.default")
