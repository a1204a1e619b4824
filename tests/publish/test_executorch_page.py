import csv
import io

import pytest

from harness.publish.executorch_page import ANE_HEADER, HEADER, constraints, executorch_context, executorch_csv
from harness.publish.model import build_matrix
from harness.publish.views import views_of

A, B = "aten.a.default", "aten.b.Tensor"


def lines(matrix):
    return list(csv.reader(io.StringIO(executorch_csv(matrix, views_of(matrix, [], None)))))


def context_of(matrix):
    return executorch_context(matrix, views_of(matrix, [], None))


def told(matrix, name="a"):
    """The constraints of an operator whatever its overload."""
    return constraints(views_of(matrix, [], None).packets[name], {})


def test_operators_delegated_with_the_right_result_are_listed(record, evidence):
    records = [
        record(A),
        record(A, recipe="fp32-ios18"),
        record(A, recipe="fp16-ios16"),
        record(A, "convert_error", recipe="fp16-ios15"),
        record(B),
        record(B, recipe="fp16-ios17-pt2e_int8_static"),
        record("aten.c.default", "convert_error"),
        record("aten.d.default", "fallback"),
        record("aten.e.default", "not_run"),
    ]
    assert lines(build_matrix(evidence(*records))) == [
        list(HEADER),
        ["a", "fp16, fp32", "", "iOS16", ""],
        ["b", "fp16", "PT2E 8 bit", "iOS18", ""],
    ]


def test_overloads_share_a_row_and_a_view_stands_with_its_copy(record, evidence):
    records = [record("aten.b.Tensor"), record("aten.b.Scalar", "convert_error"), record("aten.b_copy.default")]
    assert [line[0] for line in lines(build_matrix(evidence(*records)))] == ["Operator", "b"]


def test_a_precision_without_a_right_result_is_not_listed(record, evidence):
    records = [record(A), record(A, "wrong_value", 1, recipe="fp32-ios18")]
    assert lines(build_matrix(evidence(*records)))[1] == [
        *("a", "fp16", "", "iOS18", "**silently wrong**: some calls (1 tried)")
    ]


def test_a_call_that_is_right_in_fp16_alone_is_wrong(record, evidence):
    """The bound of fp16 hides what fp32 shows."""
    matrix = build_matrix(evidence(record(A), record(A, "wrong_value", recipe="fp32-ios18")))
    assert lines(matrix) == [list(HEADER)]
    assert context_of(matrix)["never"] == "`a`"


def test_constraints_are_conditions_the_worst_first(record, evidence):
    both = ("fp16-ios18", "fp32-ios18")
    records = [record(A, sample=0, recipe=recipe, call="a(float32[2])") for recipe in both]
    records += [record(A, "convert_error", 1, recipe=recipe, call="a(int32[2])") for recipe in both]
    records += [record(A, "wrong_value", 2, recipe=recipe, call="a(float32[2], beta=True)") for recipe in both]
    records += [record(A, "invalid_case", 3, call="a(float64[2])")]
    text = told(build_matrix(evidence(*records)))
    assert text == "**silently wrong**: `beta=True`; fails to lower: an input of integers"


def test_other_recipes_have_no_part_in_what_is_said_of_calls(record, evidence):
    records = [record(A), record(A, "wrong_value", recipe="fp16-ios15"), record(A, "crash", recipe="default")]
    matrix = build_matrix(evidence(*records))
    (row,) = matrix.operators
    assert (told(matrix), row.lowest) == ("", "iOS18")


def test_lists_hold_operators_of_which_nothing_else_was_seen(record, evidence):
    records = [
        record(A, "convert_error"),
        record(B, "convert_error"),
        record(B, sample=1),
        record("aten.c.default", "fallback", missing_kernels=["aten::c.out"]),
        record("aten.d.default", "fallback"),
        record("aten.d.default", "unsupported", 1),
    ]
    context = context_of(build_matrix(evidence(*records)))
    assert context["never"] == "`a`"
    assert context["fallback"] == "`c`, `d`"
    assert context["no_kernel"] == "`c`"
    assert context["refused"] == ""
    assert context["reference_only"] is True


def test_hardware_evidence_is_not_called_reference_only(record, evidence, environments):
    context = context_of(build_matrix(evidence(record(unit="all", environment=environments["mac"]))))
    assert context["reference_only"] is False
    assert "Apple M4" in context["measured_with"]


@pytest.mark.parametrize(
    ("entry", "origin", "text"),
    [
        ({"preferred": "ane", "supported": ["cpu", "ane"]}, "ane", "supported"),
        ({"preferred": "cpu", "supported": ["cpu", "ane"]}, "ane", "supported, not placed there"),
        ({"preferred": "cpu", "supported": ["cpu"]}, "ane", "not supported"),
        ({"preferred": "ane", "supported": ["ane"]}, "opinfo", "supported (ordinary cases)"),
        (None, "ane", "unknown"),
    ],
)
def test_the_neural_engine_has_a_column_where_it_was_asked_for(record, evidence, environments, entry, origin, text):
    placement = {A: entry} if entry else {}
    fields = {"unit": "cpu_and_ne", "environment": environments["mac"], "origin": origin}
    matrix = build_matrix(evidence(record(A, aten_placement=placement, **fields), record(B)))
    assert lines(matrix) == [
        [*HEADER, ANE_HEADER],
        ["a", "fp16", "", "iOS18", "", text],
        ["b", "fp16", "", "iOS18", "", "not asked"],
    ]
    assert context_of(matrix)["asks_for_ane"] is True


def test_support_in_some_calls_is_said_to_be_partial(record, evidence, environments):
    fields = {"unit": "cpu_and_ne", "environment": environments["mac"], "origin": "ane"}
    some = [
        record(A, sample=1, aten_placement={A: {"preferred": "ane", "supported": ["ane"]}}, **fields),
        record(A, sample=2, aten_placement={A: {"preferred": "cpu", "supported": ["cpu"]}}, **fields),
    ]
    assert lines(build_matrix(evidence(*some)))[1][-1] == "supported in part"
