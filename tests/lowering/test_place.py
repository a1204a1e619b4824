"""Each failure of a lowering names the operator that was in hand, and the line of the module that calls it."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from harness.cases.case import Built
from harness.evidence.recipe import Recipe
from harness.evidence.vocabulary import Phase
from harness.lowering.lower import export, lower, methods
from harness.lowering.place import Place, origin, place_of, source_line

FP32, FP16 = Recipe.parse("fp32-ios18"), Recipe.parse("fp16-ios18")


class Refused(nn.Module):  # at the edge
    def forward(self, x):
        y = x * 2
        return torch.special.i0(y) + x


class Crashes(nn.Module):  # in the converter
    def forward(self, x):
        y = x * 2
        return F.max_pool1d(y, 2) + 1


class SecondResult(nn.Module):  # in what takes a second result, not in the node that has two
    def forward(self, x):
        return F.max_pool1d(x * 2, 2, 2, return_indices=True)[1] + 1


class Branches(nn.Module):  # in export
    def forward(self, x):
        if x.sum() > 0:
            return x + 1
        return x


def failing(module, *inputs):
    exported = export(Built(module.eval(), inputs, 0))
    failure = lower(exported, FP32).failure
    assert failure is not None
    programs = methods(exported).values() if exported.program is not None else ()
    return failure, source_line(programs, failure.place)


@pytest.mark.parametrize(
    ("module", "phase", "operator", "code"),
    [
        (Refused, Phase.EDGE, "aten.i0.default", "return torch.special.i0(y) + x"),
        (Crashes, Phase.CONVERT, "aten.max_pool1d.default", "return F.max_pool1d(y, 2) + 1"),
        (SecondResult, Phase.CONVERT, "aten.max_pool1d_with_indices.default", "return_indices=True"),
    ],
)
def test_the_operator_and_its_line(module, phase, operator, code):
    failure, line = failing(module(), torch.randn(1, 2, 8))
    assert (failure.phase, failure.place.operator) == (phase, operator)
    assert line.startswith("test_place.py:")
    assert ", in forward: " in line
    assert code in line


def test_the_line_on_which_export_ended():
    failure, line = failing(Branches(), torch.randn(3))
    assert (failure.phase, failure.place.operator) == (Phase.EXPORT, "")
    assert line.endswith("in forward: if x.sum() > 0:")


def test_the_innermost_line_that_is_not_of_a_package():
    """A layer of torch's own calls the operator in torch's source: the user's line is the one that calls the layer."""
    _, line = failing(nn.Sequential(nn.Conv1d(2, 2, 1), Wrapped()), torch.randn(1, 2, 8))
    assert line.endswith("in forward: return self.pool(x)")


class Wrapped(nn.Module):
    def __init__(self):
        super().__init__()
        self.pool = nn.MaxPool1d(2, dilation=2)

    def forward(self, x):
        return self.pool(x)


def test_an_error_that_holds_no_node_has_no_place():
    def raises():
        node = "aten.add.Tensor"
        raise ValueError(node)

    with pytest.raises(ValueError, match="add") as caught:
        raises()
    assert place_of(caught.value) == Place()
    assert not place_of(caught.value)


def test_a_node_of_nothing_is_its_own_origin():
    graph = torch.fx.Graph()
    assert origin(graph.placeholder("x")) == "x"


def test_a_program_without_sources_tells_no_line():
    program = torch.export.export(Crashes(), (torch.randn(1, 2, 8),))
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)
    assert source_line([program], Place("aten.max_pool1d.default", "max_pool1d")) == ""


def refused(function, *inputs, recipe=FP32):
    failure = lower(export(Built(Calls(function), inputs, 0)), recipe).failure
    assert failure is not None
    return failure.place


class Calls(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *inputs):
        return self.function(*inputs)


def test_a_pass_of_coremltools_has_an_operator_in_hand_that_is_named_after_its_node():
    layer = nn.Linear(4, 1)
    place = refused(lambda x: torch.tanh(layer(torch.exp(x)) + 0.5), torch.ones(2, 4))
    assert (place.operator, place.origin) == ("aten.linear.default", "linear")


def test_a_value_that_a_pass_gave_another_data_type_is_named_after_its_node_all_the_same():
    place = refused(lambda x: torch.exp(x).reshape(1, 2, 1, 2, 1, 2).sum(-1), torch.ones(8), recipe=FP16)
    assert place.operator == "aten.view_copy.default"


def test_a_broadcast_inside_a_delegate_is_told_from_those_beside_it():
    inputs = torch.ones(3), torch.ones(2, 1)
    place = refused(lambda x, y: (torch.broadcast_tensors(x * 2, y)[0], torch.tanh(x)), *inputs)
    assert place.operator == "aten.broadcast_tensors.default"


def test_an_input_is_named_where_it_is_what_is_refused():
    place = refused(lambda x, y: (x + 1, torch.fmod(y, 2)), torch.ones(3), torch.ones(1, 2).expand(3, 2))
    assert (place.operator, place.input) == ("", "inputs_1")
    assert place


def test_a_failure_without_a_node_is_put_down_to_the_only_operator():
    recipe, empty = Recipe.parse("fp16-ios18"), torch.randn(0, 3)
    assert refused(lambda x: x.roll([1], [0]), empty, recipe=recipe).operator == "aten.roll.default"
    assert not refused(lambda x: x.roll([1], [0]) + 1, empty, recipe=recipe)  # a pass of coremltools failed
