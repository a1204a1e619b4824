import pytest

from harness.evidence.names import by_packet
from harness.evidence.vocabulary import Outcome
from harness.publish.attribution import attribute, stands_for

GELU, ADD, ASINH = "aten.gelu.default", "aten.add.Tensor", "aten.asinh.default"


def test_a_pass_without_the_operator_in_the_graph_is_no_evidence_for_it(record):
    square = record("aten.square.default", delegated={"aten.pow.Tensor_Scalar": 1})
    assert list(attribute(square)) == [("aten.pow.Tensor_Scalar", Outcome.PASS)]


def test_operators_of_a_working_program_are_judged_each_by_itself(record):
    mixed = record(GELU, "partial", delegated={GELU: 1, ADD: 2}, fallback={ASINH: 1, ADD: 1, "operator.getitem": 1})
    assert dict(attribute(mixed)) == {GELU: Outcome.PASS, ADD: Outcome.PARTIAL, ASINH: Outcome.FALLBACK}


def test_a_failure_is_the_named_operators(record):
    failed = record(GELU, "wrong_value", delegated={GELU: 1, ADD: 1})
    assert dict(attribute(failed)) == {GELU: Outcome.WRONG_VALUE}


def test_a_failure_is_not_the_one_of_an_operator_outside_the_delegates(record):
    failed = record(GELU, "wrong_value", delegated={ADD: 1}, fallback={GELU: 1})
    assert dict(attribute(failed)) == {GELU: Outcome.FALLBACK}


def test_a_failure_of_the_only_operator_is_its_own(record):
    assert dict(attribute(record("aten.square.default", "wrong_value", delegated={ADD: 1}))) == {
        ADD: Outcome.WRONG_VALUE
    }


def test_a_program_that_works_with_an_empty_graph_is_no_evidence_for_an_operator(record):
    assert list(attribute(record("aten.atleast_1d.default", "fallback", fallback={}))) == []


def test_an_ambiguous_name_is_left_as_it_is(record):
    groups = by_packet([ADD, "aten.add.Scalar"])
    assert dict(attribute(record("aten.add", "convert_error"), groups)) == {"aten.add": Outcome.CONVERT_ERROR}


def test_a_failure_nobody_can_be_blamed_for_is_no_operator_s(record):
    failed = record("aten.square.default", "wrong_value", delegated={ADD: 1, GELU: 1})
    assert list(attribute(failed)) == []


@pytest.mark.parametrize(
    ("graph", "name", "stands"),
    [
        ({"aten.conv2d.default": 1, GELU: 1}, GELU, True),
        ({"aten.conv2d.default": 1, GELU: 1, ADD: 1}, ADD, False),
        ({"aten.conv2d.default": 1, ADD: 1}, ADD, True),
        ({"aten.conv2d.default": 1, ADD: 1}, "aten.conv2d.default", False),
    ],
)
def test_the_layers_around_an_operator_do_not_stand_for_it(record, graph, name, stands):
    assert stands_for(record(GELU, delegated=graph), name) is stands
