"""What a user may give, made into a `Built`; and what is refused, each with one line that names the thing."""

from __future__ import annotations

from collections import OrderedDict
from types import MappingProxyType

import pytest
import torch
from torch import nn

from harness.cases.case import Arguments, CaseFault, NoCase
from harness.cases.user_forms import built_of, evaluating

X, Y = torch.ones(2), torch.zeros(3)


def built(*given):
    return built_of(given, "mine.py::f", 7)


def exported(module=None, inputs=(X,)):
    return torch.export.export(module or nn.ReLU(), inputs)


@pytest.mark.parametrize(
    ("given", "inputs", "kwargs"),
    [
        (X, (X,), {}),
        ((), (), {}),
        ([X, Y], (X, Y), {}),
        ((X, (Y, [X, None]), 3, 1.5, True, "tanh"), (X, (Y, [X, None]), 3, 1.5, True, "tanh"), {}),
        (({"a": X},), ({"a": X},), {}),
        ({"x": X, "y": None}, (), {"x": X, "y": None}),
        (OrderedDict(x=X), (), {"x": X}),
        (MappingProxyType({"x": X}), (), {"x": X}),
    ],
)
def test_inputs_are_any_pytree_and_a_dict_is_keyword_arguments(given, inputs, kwargs):
    made = built(nn.ReLU(), given)
    assert (made.inputs, made.kwargs) == (inputs, kwargs)
    assert made.seed == 7
    assert made.own.arguments == (Arguments(inputs, kwargs),)


def test_keyword_arguments_of_the_options_stand_beside_the_inputs():
    assert built(nn.ReLU(), X, {"kwargs": {"y": Y}}).own.arguments == (Arguments((X,), {"y": Y}),)
    made = built(nn.ReLU(), {"x": X}, {"kwargs": {"y": Y}})
    assert made.own.arguments == (Arguments((), {"y": Y, "x": X}),)


def test_leaves_are_in_the_programs_order():
    made = built(nn.ReLU(), (X, {"b": 1, "a": (None, Y)}), {"kwargs": {"z": 2, "a": 3}})
    assert made.leaves == [X, 1, None, Y, 2, 3]


def test_what_a_further_call_does_not_give_is_as_in_the_first():
    first = {"b": X, "a": 2}
    made = built(nn.ReLU(), (X, {"k": 1, "m": Y}), {"kwargs": first, "calls": [{"a": 2}, (Y, {"m": X, "k": 1})]})
    assert made.calls == (
        Arguments((X, {"k": 1, "m": Y}), {"b": X, "a": 2}),
        Arguments((Y, {"k": 1, "m": X}), {"b": X, "a": 2}),
    )
    assert made.own.arguments[2].leaves == [Y, 1, X, X, 2]


def test_an_exported_program_is_lowered_as_it_is_and_run_as_a_module():
    program = exported()
    made = built(program, X)
    assert made.program is program
    assert torch.equal(made.module(X), X)


def test_what_torch_export_gives_needs_no_eval_mode_wherever_it_stands():
    module = exported().module()
    assert evaluating(module) is module
    around = nn.Sequential(module, nn.Dropout())
    assert not any(part.training for part in evaluating(around).modules())
    assert built(module, X).program is None


def test_methods_are_lowered_beside_and_judged():
    other = nn.Tanh()
    made = built(nn.ReLU(), X, {"methods": {"prefill": (other, Y), "score": (exported(), X, {"calls": [X]})}})
    assert [(m.name, m.inputs, len(m.calls)) for m in made.judged] == [
        ("forward", (X,), 0),
        ("prefill", (Y,), 0),
        ("score", (X,), 1),
    ]
    assert made.beside[0].module is other
    assert made.beside[1].program is not None


def test_the_partitioners_arguments_are_passed_on():
    options = {"skip_ops_for_coreml_delegation": ["aten.relu.default"], "lower_full_graph": True}
    assert dict(built(nn.ReLU(), X, {"partitioner": options}).partitioning.options) == options


def test_shapes_that_there_are_and_calls_to_be_refused():
    found = built(nn.ReLU(), X, {"enumerated_shapes": {"x": [[2, 3], (4, 3)]}, "refused": [Y]})
    assert found.partitioning.enumerated == (("x", ((2, 3), (4, 3))),)
    assert [one.inputs for one in found.refused] == [one.inputs for one in found.own.refused] == [(Y,)]
    assert found.calls == ()


@pytest.mark.parametrize(
    "given",
    [None, 3, nn.ReLU(), (), (nn.ReLU(),), (torch.relu, X), (nn.ReLU, X), [nn.ReLU(), X], (nn.ReLU(), X, {}, 4)],
)
def test_what_does_not_begin_with_a_module_is_no_case(given):
    with pytest.raises(NoCase, match=r"^mine\.py::f: returned [\w, ]+, expected \(module, example_inputs\)"):
        built_of(given, "mine.py::f", 0)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ((1,), "example_inputs: a tensor, a tuple of arguments or a dict of keyword arguments, not int"),
        ((None,), "example_inputs: .* not NoneType"),
        (({1: X},), "example_inputs: a dict is keyword arguments, whose keys are names"),
        ((X, 3), "options are a dict, not int"),
        ((X, {"dynamic_shape": 1}), "options: unknown key 'dynamic_shape': known are kwargs, dynamic_shapes, calls, "),
        ((X, {"kwargs": X}), "options: kwargs are a dict by name, not Tensor"),
        ((X, {"calls": X}), "options: calls are a list of inputs, not Tensor"),
        ((X, {"refused": X}), "options: refused are a list of inputs, not Tensor"),
        ((X, {"refused": [X, 3]}), r"refused\[1\]: a tensor, a tuple"),
        ((X, {"enumerated_shapes": [(2, 3)]}), "enumerated_shapes are a dict of lists of shapes"),
        ((X, {"enumerated_shapes": {"x": (2, 3)}}), "enumerated_shapes are a dict of lists of shapes"),
        ((X, {"calls": [X, 3]}), r"calls\[1\]: a tensor, a tuple"),
        ((X, {"calls": [(X, Y)]}), r"calls\[0\]: 2 arguments that do not match the 1 of the first call"),
        ((X, {"calls": [{"y": X}]}), r"calls\[0\]: 'y' is no argument of the first call"),
        (((X, (X, Y)), {"calls": [(X, [X, Y])]}), r"calls\[0\]: 3 arguments that do not match the 3"),
        ((X, {"methods": [nn.ReLU()]}), "options: methods are a dict of .* not list"),
        ((X, {"methods": {"forward": (nn.ReLU(), X)}}), "methods: 'forward' is no name for a method beside forward"),
        ((X, {"methods": {"a b": (nn.ReLU(), X)}}), "'a b' is no name"),
        ((X, {"methods": {"score": nn.ReLU()}}), r"methods: score is ReLU, expected \(module, example_inputs\)"),
        ((X, {"methods": {"score": (nn.ReLU(), 1)}}), "method score: example_inputs: a tensor"),
        ((X, {"methods": {"score": (nn.ReLU(), X, {"methods": {}})}}), "method score: options: unknown key 'methods'"),
        ((X, {"partitioner": []}), "partitioner is a dict of keyword arguments, not list"),
        ((X, {"partitioner": {"compile_specs": []}}), "compile_specs are made of --precision and --target"),
        (
            (X, {"partitioner": {"skip_ops": []}}),
            "CoreMLPartitioner has no argument 'skip_ops': known are skip_ops_for",
        ),
    ],
)
def test_a_module_with_something_else_is_a_fault_of_the_case(given, says):
    with pytest.raises(CaseFault, match=says):
        built(nn.ReLU(), *given)


def test_dynamic_shapes_of_an_exported_program_are_its_own():
    with pytest.raises(CaseFault, match="dynamic_shapes are for a module"):
        built(exported(), X, {"dynamic_shapes": ({0: torch.export.Dim.AUTO},)})
