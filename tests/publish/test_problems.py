from harness.evidence.vocabulary import Outcome, Phase
from harness.publish.problems import fallback_operators, problems

A, B, C = "aten.a.default", "aten.b.default", "aten.c.default"


def test_equal_errors_are_one_problem_largest_first(record):
    records = [
        record(A, "convert_error", signature="rank 6"),
        record(A, "convert_error", signature="no dtype"),
        record(B, "convert_error", signature="no dtype"),
        record(B, "convert_error", 1, signature="no dtype", phase=Phase.PARTITION),
        record(C),
    ]
    groups = problems(records)
    assert list(groups) == [Outcome.CONVERT_ERROR]
    summary = [(group.signature, group.phase, group.subjects) for group in groups[Outcome.CONVERT_ERROR]]
    assert summary == [
        ("ValueError: no dtype", "convert", [A, B]),
        ("ValueError: rank 6", "convert", [A]),
        ("ValueError: no dtype", "partition", [B]),
    ]


def test_wrong_values_are_grouped_by_operator_and_show_the_furthest_off(record):
    records = [
        record(A, "wrong_value", 0, headroom=0.9, reason="got 1, expected 2"),
        record(A, "wrong_value", 1, headroom=0.1, reason="got 1, expected 9"),
    ]
    (group,) = problems(records)[Outcome.WRONG_VALUE]
    assert group.signature == A
    assert group.worst.reason == "got 1, expected 9"
    assert group.where == ["fp16-ios18 reference"]


def test_a_problem_names_the_causes_of_its_checks(record):
    records = [
        record(A, "convert_error", n, signature="x", cause=cause) for n, cause in enumerate(("b", "a", "b", None))
    ]
    (group,) = problems(records)[Outcome.CONVERT_ERROR]
    assert group.causes == ["", "a", "b"]


def test_outcomes_are_in_order_of_what_users_cannot_see(record):
    records = [record(outcome=o) for o in ("unsupported", "convert_error", "wrong_value", "fallback", "not_run")]
    assert list(problems(records)) == [Outcome.WRONG_VALUE, Outcome.CONVERT_ERROR, Outcome.UNSUPPORTED]


def test_one_refusal_of_many_operators_is_one_problem(record):
    records = [
        record(op, "unsupported", signature=f"Operator torch._ops.{op} is not in Core ATen opset") for op in (A, B, C)
    ]
    (group,) = problems(records)[Outcome.UNSUPPORTED]
    assert group.signature == "ValueError: Operator <operator> is not in Core ATen opset"
    assert group.subjects == [A, B, C]


def test_fallback_operators_without_a_kernel_come_first(record):
    records = [
        record(A, "fallback"),
        record(B, "fallback", missing_kernels=["aten::b.out"]),
        record(B, "fallback", 1, missing_kernels=["aten::b.out"]),
        record(C, "partial", fallback={A: 1, "operator.getitem": 1}),
    ]
    assert [(o.name, o.cases, o.missing) for o in fallback_operators(records)] == [(B, 2, True), (A, 2, False)]
