import itertools

import pytest

from harness.evidence.vocabulary import SEVERITY, Outcome, Phase
from harness.publish.diff import Kind, diff, one_per_check, render

A, B = "aten.a.default", "aten.b.default"


@pytest.fixture
def changes(evidence):
    """Kinds of change by check, with whether each is a regression."""

    def compare(before, after):
        result = diff(evidence(*before), evidence(*after))
        return [(change.kind, change.regression) for change in result.changes]

    return compare


def test_equal_records_do_not_differ(record, evidence):
    records = [record(outcome=outcome, sample=n) for n, outcome in enumerate(Outcome)]
    result = diff(evidence(*records), evidence(*records))
    assert (result.changes, result.same) == ([], len(Outcome))


@pytest.mark.parametrize(("better", "worse"), list(itertools.pairwise(SEVERITY)))
def test_every_step_of_severity(record, changes, better, worse):
    fields = {"delegated": {A: 1}}  # the same delegation on both sides: the outcome alone decides
    assert changes([record(A, better, **fields)], [record(A, worse, **fields)]) == [(Kind.WORSE, True)]
    assert changes([record(A, worse, **fields)], [record(A, better, **fields)]) == [(Kind.BETTER, False)]


def test_another_signature_or_phase_is_a_change_not_a_regression(record, changes):
    one, two = (record(A, "convert_error", signature=s) for s in ("one", "two"))
    assert changes([one], [two]) == [(Kind.CHANGED, False)]
    assert changes([one], [one.with_(phase=Phase.PARTITION)]) == [(Kind.CHANGED, False)]


def test_another_stage_is_a_change_where_both_have_one(record, changes):
    def wrong(stage):
        return record(A, "wrong_value", unit="all", stage=stage, signature="wrong_value")

    assert changes([wrong("lowering")], [wrong("runtime")]) == [(Kind.CHANGED, False)]
    assert changes([wrong("")], [wrong("runtime")]) == []


def test_a_new_line_number_in_the_message_is_no_change(record, changes):
    one = record(A, "convert_error", signature="one")
    two = one.with_(error=type(one.error)("ValueError", "one in line 99", "one"))
    assert changes([one], [two]) == []


def test_an_operator_no_longer_delegated_is_worse_though_the_outcome_stays(record, changes):
    before = record(A, "partial", delegated={A: 1, B: 1}, fallback={"aten.c.default": 1})
    after = before.with_(delegated={A: 1}, fallback={"aten.c.default": 1, B: 1})
    assert changes([before], [after]) == [(Kind.WORSE, True)]
    assert changes([after], [before]) == [(Kind.BETTER, False)]


def test_a_kernel_lost_is_worse(record, changes):
    before = record(A, "fallback")
    assert changes([before], [before.with_(missing_kernels=[A])]) == [(Kind.WORSE, True)]


@pytest.mark.parametrize("outcome", ["not_run", "invalid_case"])
def test_no_longer_measured_counts_where_the_candidate_judges_others(record, changes, outcome):
    lost = changes([record(A), record(B)], [record(A, outcome), record(B)])
    assert lost == [(Kind.UNMEASURED, True)]


@pytest.mark.parametrize("after", [[], [("not_run", {})]])
def test_no_longer_measured_does_not_count_without_the_unit(record, changes, after):
    there = {"unit": "cpu_only"}
    candidate = [record(A, outcome, **there) for outcome, _ in after] + [record(B)]
    lost = changes([record(A, **there), record(B)], candidate)
    assert lost == [(Kind.UNMEASURED, False)]


def test_refusals_to_lower_do_not_show_that_a_unit_is_there(record, changes):
    there = {"unit": "cpu_only"}
    before = [record(A, **there), record(B, "convert_error", **there)]
    assert changes(before, [record(A, "not_run", **there), before[1]]) == [(Kind.UNMEASURED, False)]


def test_a_check_that_is_gone_counts_like_one_not_measured(record, changes):
    assert changes([record(A), record(B)], [record(B)]) == [(Kind.UNMEASURED, True)]
    assert changes([record(A, "not_run"), record(B)], [record(B)]) == [(Kind.GONE, False)]


def test_what_is_measured_for_the_first_time_is_no_regression(record, changes):
    assert changes([record(A, "not_run")], [record(A, "wrong_value")]) == [(Kind.MEASURED, False)]
    assert changes([], [record(A, "wrong_value")]) == [(Kind.NEW, False)]


def test_another_fault_of_the_case(record, changes):
    before, after = record(A, "not_run", reason="no Mac"), record(A, "not_run", reason="no kernel")
    assert changes([before], [after]) == [(Kind.CHANGED, False)]


def test_environments_are_compared_by_check(record, evidence, environments):
    result = diff(evidence(record(A)), evidence(record(A, "wrong_value", environment=environments["mac"])))
    assert [change.kind for change in result.changes] == [Kind.WORSE]
    text = render(result)
    assert "baseline:  executorch 1.5.1, coremltools 9.0, torch 2.13.0, linux" in text
    assert "candidate: executorch 1.5.1, coremltools 9.0, torch 2.13.0, macos 15.2, Apple M4" in text


def test_of_several_environments_the_real_and_worst_counts(record, evidence, environments):
    simulated, mac = environments["simulated"], environments["mac"]
    records = [record(A, "wrong_value", environment=simulated), record(A, environment=mac), record(A, "partial")]
    for order in (records, records[::-1]):
        (chosen,) = one_per_check(evidence(*order)).values()
        assert chosen.outcome is Outcome.PARTIAL
    (chosen,) = one_per_check(evidence(record(A, environment=simulated), record(A, "not_run"))).values()
    assert chosen.outcome is Outcome.NOT_RUN


def test_rendering_groups_by_operator_and_limits(record, evidence):
    before = [record(A, sample=n) for n in range(12)] + [record(B)]
    after = [record(A, "wrong_value", n, reason="far off") for n in range(12)] + [record(B)]
    lines = render(diff(evidence(*before), evidence(*after)), limit=2).splitlines()
    assert "worse (12 checks, 1 operator)" in lines
    start = lines.index("  aten.a.default")
    assert lines[start + 1] == f"    pass -> wrong_value  ops/{A}/float32/opinfo-0@fp16-ios18@reference  far off"
    assert lines[start + 3] == "    and 10 more (--all shows them)"
    assert lines[-1] == "12 worse, 1 unchanged"
    assert "opinfo-10" in render(diff(evidence(*before), evidence(*after)), limit=None)


def test_rendering_nothing(record, evidence):
    assert render(diff(evidence(record()), evidence(record()))).endswith("no change, 1 unchanged")
