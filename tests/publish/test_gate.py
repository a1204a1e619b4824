import pytest

from harness.evidence.vocabulary import HarnessError
from harness.publish.gate import comparable, gate, not_compared, render

A, B = "aten.a.default", "aten.b.default"


def test_silent_when_equal(record, evidence):
    regressions = gate(evidence(record(A), record(B)), evidence(record(A), record(B)))
    assert regressions == []
    assert render(regressions) == ""


def test_names_the_operator_that_got_worse(record, evidence):
    regressions = gate(
        evidence(record(A), record(B)), evidence(record(A), record(B, "convert_error", signature="no rank 6"))
    )
    text = render(regressions)
    assert text.startswith(
        "regressions: 1 check, 1 operator\n  aten.b.default\n    pass -> convert_error  ops/aten.b.default"
    )
    assert "ValueError: no rank 6" in text
    assert A not in text


def test_better_and_new_pass_the_gate(record, evidence):
    assert gate(evidence(record(A, "convert_error")), evidence(record(A), record(B, "wrong_value"))) == []


def test_a_check_that_stopped_running_does_not_pass_unless_allowed(record, evidence):
    baseline, candidate = evidence(record(A), record(B)), evidence(record(B))
    assert [change.operator for change in gate(baseline, candidate)] == [A]
    assert gate(baseline, candidate, allow_missing=True) == []


def test_allow_missing_lets_nothing_else_through(record, evidence):
    assert gate(evidence(record(A)), evidence(record(A, "wrong_value")), allow_missing=True)


@pytest.mark.parametrize("candidate", [[], ["not_run"]])
def test_nothing_in_common_is_an_error_not_a_pass(record, evidence, candidate):
    with pytest.raises(HarnessError, match="judges no check of"):
        gate(evidence(record(A)), evidence(*(record(A, outcome) for outcome in candidate)))


def test_what_was_not_compared_is_told(record, evidence):
    baseline = evidence(record(A), record(A, unit="cpu_only"))
    result = comparable(baseline, evidence(record(A), record(A, "not_run", unit="cpu_only")))
    assert (
        not_compared(result) == "not compared: 1 check, 1 operator; the candidate judges nothing on fp16-ios18 cpu_only"
    )
    assert not_compared(comparable(baseline, baseline)) == ""
