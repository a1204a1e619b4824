"""A value that left the range of fp16 is put down to the operator that made it infinite, not the one that lost it."""

import pytest
import torch
from torch import nn

from harness.cases.case import Built, Case
from harness.diagnosis.localise import in_words, localise
from harness.diagnosis.nodes import EdgeProgram
from harness.diagnosis.overflow import ancestors
from harness.evidence.recipe import Recipe
from harness.evidence.vocabulary import Kind, Level
from harness.lowering import speedups
from harness.units.whole_program import resolve


@pytest.fixture(scope="module", autouse=True)
def _measuring():
    speedups.enable()


class Calls(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *args):
        return self.function(*args)


def localised(function, *inputs, recipe="fp16-ios18"):
    case = Case(
        id="check/mine/model",
        kind=Kind.USER,
        op="user.model",
        api="model",
        dtype="mixed",
        origin="user file",
        level=Level.SMOKE,
        build=lambda: Built(Calls(function), inputs, seed=0),
        whole_model=True,
        named=False,
    )
    return localise(case, Recipe.parse(recipe))


@pytest.mark.parametrize(
    ("function", "operator", "lost_by"),
    [
        (lambda x: (x * x).sum(-1).sqrt(), "aten.mul.Tensor", "aten.sqrt.default"),
        (lambda x: x / (x.pow(2) + 1).mean(-1, keepdim=True).sqrt(), "aten.pow.Tensor_Scalar", "aten.sqrt.default"),
        (lambda x: (x / 25).exp().sum(-1).log(), "aten.exp.default", "aten.log.default"),
    ],
)
def test_where_the_infinity_came_up(function, operator, lost_by):
    found = localised(function, torch.full((2, 4), 300.0))
    assert found.blamed == (operator,)
    assert found.culprit.range_left
    assert found.culprit.reason.startswith("got inf, expected ")
    assert "is the first to leave the range of its precision" in in_words(found)
    assert lost_by not in found.blamed


def test_an_infinity_that_nothing_wrong_comes_of_is_not_blamed():
    """1 / (1 + inf) is the 0 it should be; what is beside it is wrong."""

    def two(x, y):
        return x / (1 + x.exp()), torch.nn.functional.softplus(y, beta=3.0, threshold=0.2)

    found = localised(two, torch.full((4,), 20.0), torch.rand(9))
    assert found.blamed == ("aten.softplus.default",)
    assert not found.culprit.range_left


def test_what_is_wrong_in_float32_as_well_leaves_its_bound():
    found = localised(lambda x: (x * x).std() / 16, torch.arange(4.0) * 200)
    assert found.blamed == ("aten.std.correction",)
    assert not found.culprit.range_left


def test_ancestors():
    def function(x, y):
        a, b = x.chunk(2)
        return a.sin() * b, y.cos()

    program = torch.export.export(Calls(function), (torch.ones(4), torch.ones(4)))
    edge = EdgeProgram(program, resolve)
    of = {node.name: ancestors(edge, number) for number, node in enumerate(edge.nodes)}
    names = {name: {edge.nodes[number].name for number in found} for name, found in of.items()}
    assert {"args_0", "sin"} <= names["mul"]
    assert names["cos"] == {"args_1"}
    assert names["args_0"] == set()
