import itertools

import pytest

from harness.evidence.files import Evidence
from harness.evidence.record import Numerics
from harness.evidence.vocabulary import SEVERITY, HarnessError, Outcome, Phase
from harness.publish.diff import diff, render
from harness.publish.policy import default_policy

A, B = "aten.a.default", "aten.b.default"
LIMITS = default_policy().limits


@pytest.fixture
def changes(evidence):
    """Classes of change, of checks that stand in evidence beside one that stays as it is."""

    def compare(before, after, *, stays=()):
        result = diff(evidence(*before, *stays), evidence(*after, *stays), LIMITS)
        return [change.kind for change in result.changes]

    return compare


def test_equal_records_do_not_differ(record, evidence):
    records = [record(outcome=outcome, sample=n) for n, outcome in enumerate(Outcome)]
    result = diff(evidence(*records), evidence(*records), LIMITS)
    assert result.changes == []
    (part,) = result.parts
    judged = len(SEVERITY)
    assert (part.judged, part.compared, part.candidate_judged, part.same) == (judged, judged, judged, judged)


@pytest.mark.parametrize(("better", "worse"), list(itertools.pairwise(SEVERITY)))
def test_every_step_of_severity(record, changes, better, worse):
    fields = {"delegated": {A: 1}}
    kind = {Outcome.PARTIAL: "delegation_lost", Outcome.FALLBACK: "delegation_lost", Outcome.TIMEOUT: "crash"}
    assert changes([record(A, better, **fields)], [record(A, worse, **fields)]) == [kind.get(worse, "worse")]
    back = "crash" if better is Outcome.CRASH else "better"
    assert changes([record(A, worse, **fields)], [record(A, better, **fields)]) == [back]


@pytest.mark.parametrize("before", ["wrong_value", "pass", "convert_error"])
@pytest.mark.parametrize("after", ["crash", "timeout"])
def test_a_crash_is_no_better_than_a_wrong_value(record, changes, before, after):
    assert changes([record(A, before)], [record(A, after)]) == ["crash"]


def test_another_signature_or_phase_is_a_change(record, changes):
    one, two = (record(A, "convert_error", signature=s) for s in ("one", "two"))
    assert changes([one], [two]) == ["changed"]
    assert changes([one], [one.with_(phase=Phase.PARTITION)]) == ["changed"]


def test_another_stage_is_a_change_where_both_have_one(record, changes):
    def wrong(stage):
        return record(A, "wrong_value", unit="all", stage=stage, signature="wrong_value")

    assert changes([wrong("lowering")], [wrong("runtime")]) == ["changed"]
    assert changes([wrong("")], [wrong("runtime")]) == []


def test_a_new_line_number_in_the_message_is_no_change(record, changes):
    one = record(A, "convert_error", signature="one")
    two = one.with_(error=type(one.error)("ValueError", "one in line 99", "one"))
    assert changes([one], [two]) == []


def test_an_operator_no_longer_delegated_is_told_though_the_outcome_stays(record, changes):
    before = record(A, "partial", delegated={A: 1, B: 1}, fallback={"aten.c.default": 1})
    after = before.with_(delegated={A: 1}, fallback={"aten.c.default": 1, B: 1})
    assert changes([before], [after]) == ["delegation_lost"]
    assert changes([after], [before]) == ["better"]


def test_a_kernel_lost_is_told(record, changes):
    before = record(A, "fallback")
    assert changes([before], [before.with_(missing_kernels=[A])]) == ["kernel_lost"]


def on_ane(preferred="ane", supported=("ane", "cpu")):
    return {"preferred": preferred, "supported": list(supported)}


def test_placement_lost(record, changes):
    def placed(entry, **fields):
        return record(A, unit="cpu_and_ne", aten_placement={A: entry} if entry else {}, **fields)

    assert changes([placed(on_ane())], [placed(on_ane())]) == []
    assert changes([placed(on_ane())], [placed(on_ane("cpu"))]) == ["placement_lost"]
    assert changes([placed(on_ane("cpu"))], [placed(on_ane("cpu", ["cpu"]))]) == ["placement_lost"]
    assert changes([placed(on_ane())], [placed(None)]) == ["placement_lost"]
    assert changes([placed(on_ane("cpu"))], [placed(on_ane())]) == []
    assert changes([placed({})], [placed(on_ane("cpu", ["cpu"]))]) == []
    # What is no longer delegated is another class.
    assert changes([placed(on_ane())], [placed(None, outcome="fallback")]) == ["delegation_lost"]


def test_numbers_are_compared_where_the_outcome_stays_or_works(record, changes):
    near, far = record(A, headroom=2.0), record(A, headroom=9.0)
    assert changes([far], [near]) == ["headroom_lost"]
    assert changes([near], [far]) == []
    assert changes([far], [near.with_(outcome=Outcome.PARTIAL)]) == ["delegation_lost", "headroom_lost"]
    assert changes([far], [record(A, "wrong_value", headroom=0.1)]) == ["worse"]
    assert changes([far], [near.with_(numerics=None)]) == ["not_measured"]
    wrong = [record(A, "wrong_value", numerics=Numerics("ULP", headroom=0.5, max_abs=e)) for e in (1.0, 5.0)]
    assert changes(wrong[:1], wrong[1:]) == ["larger_error"]


def test_a_limit_of_the_policys_counts(record, evidence):
    small, large = (evidence(record(A, size=size)) for size in (100, 104))
    assert diff(small, large, LIMITS).changes == []
    tight = {**LIMITS, "larger_package": type(LIMITS["larger_package"])(factor=1.01)}
    (change,) = diff(small, large, tight).changes
    assert (change.kind, change.detail) == ("larger_package", "100 bytes -> 104 bytes")


@pytest.mark.parametrize("outcome", ["not_run", "invalid_case"])
def test_no_longer_judged(record, changes, outcome):
    assert changes([record(A)], [record(A, outcome)], stays=[record(B)]) == ["not_judged"]
    assert changes([record(A)], [], stays=[record(B)]) == ["not_judged"]
    assert changes([record(A, outcome)], [], stays=[record(B)]) == ["gone"]


@pytest.mark.parametrize("after", [[], ["not_run"]])
def test_a_column_that_is_gone_is_one_change(record, evidence, after):
    there = [record(op, unit="cpu_only") for op in (A, B)]
    refused = record(A, "convert_error", 1, unit="cpu_only")
    candidate = [record(A, outcome, unit="cpu_only") for outcome in after] + [refused, record(B)]
    (change,) = diff(evidence(*there, refused, record(B)), evidence(*candidate), LIMITS).changes
    assert (change.kind, change.name, change.checks) == ("column_gone", "*@fp16-ios18@cpu_only", 2)


def test_what_is_judged_for_the_first_time(record, changes):
    stays = [record(A), record(B, "wrong_value")]
    assert changes([], [record(A, sample=1)], stays=stays) == ["new"]
    assert changes([record(A, "not_run", 1)], [record(A, sample=1)], stays=stays) == ["judged_now"]
    for before in ([], [record(A, "not_run", 1)]):
        assert changes(before, [record(A, "wrong_value", 1)], stays=stays) == ["new_failure"]
    assert changes([], [record(B, "wrong_value", 1)], stays=stays) == ["first_failure"]
    # The baseline knew nothing of the operator by that recipe.
    assert changes([], [record(A, "wrong_value", recipe="fp32-ios18")], stays=stays) == ["first_failure"]


def test_another_reason_not_to_judge(record, changes):
    before, after = (record(A, "not_run", reason=reason) for reason in ("no Mac", "no kernel"))
    assert changes([before], [after], stays=[record(B)]) == ["changed"]


def test_every_environment_is_compared_with_its_own(record, evidence, environments):
    mac = environments["mac"]
    before = [record(A), record(A, environment=mac), record(B, environment=mac)]
    after = [record(A), record(A, "wrong_value", environment=mac), record(B, environment=mac)]
    result = diff(evidence(*before), evidence(*after), LIMITS)
    assert [(change.kind, change.environment) for change in result.changes] == [("worse", mac)]
    assert [(part.judged, part.compared) for part in result.parts] == [(1, 1), (2, 2)]


def test_an_environment_of_one_side_alone(record, evidence, environments):
    both = evidence(record(A), record(A, environment=environments["mac"]), record(B, environment=environments["mac"]))
    one = evidence(record(A))
    (gone,) = diff(both, one, LIMITS).changes
    assert (gone.kind, gone.name, gone.checks) == ("environment_gone", environments["mac"], 2)
    (new,) = diff(one, both, LIMITS).changes
    assert (new.kind, new.checks) == ("environment_new", 2)
    assert "candidate only: executorch 1.5.1" in render(diff(one, both, LIMITS))


def test_a_baseline_of_another_system_is_refused(record, evidence, environments):
    with pytest.raises(HarnessError, match=r"of another system than the baseline: macos 15.2, arm64, Apple M4, not li"):
        diff(evidence(record(A)), evidence(record(A, environment=environments["mac"])), LIMITS)
    simulated = evidence(record(A, environment=environments["simulated"]))
    with pytest.raises(HarnessError, match="of another system"):
        diff(evidence(record(A, environment=environments["mac"])), simulated, LIMITS)


def test_evidence_that_is_ambiguous_is_refused(record, evidence):
    good, twice = evidence(record(A)), evidence(record(A), record(A, "crash"))
    nowhere = Evidence({}, [record(A)])
    for bad, says in ((twice, "two records of"), (nowhere, "described nowhere"), (evidence(), "no records")):
        with pytest.raises(HarnessError, match=f"the baseline: .*{says}"):
            diff(bad, good, LIMITS)
        with pytest.raises(HarnessError, match=f"the candidate: .*{says}"):
            diff(good, bad, LIMITS)


@pytest.mark.parametrize("candidate", [(B, "pass"), (A, "not_run")])
def test_nothing_in_common_is_an_error(record, evidence, candidate):
    with pytest.raises(HarnessError, match="the candidate: judges no check of the baseline"):
        diff(evidence(record(A)), evidence(record(*candidate)), LIMITS)


def test_rendering_groups_by_class_and_operator_and_limits(record, evidence):
    before = [record(A, sample=n) for n in range(12)] + [record(B)]
    after = [record(A, "wrong_value", n, reason="far off") for n in range(12)] + [record(B)]
    lines = render(diff(evidence(*before), evidence(*after), LIMITS), limit=2).splitlines()
    assert lines[2] == "compared:  13 of 13 checks that the baseline judged (100.0 %); the candidate judges 13"
    assert "worse: 12 checks, 1 operator; the outcome is a worse one" in lines
    start = lines.index("  aten.a.default")
    assert lines[start + 1] == f"    pass -> wrong_value  ops/{A}/float32/opinfo-0@fp16-ios18@reference  far off"
    assert lines[start + 3] == "    and 10 more (--all shows them)"
    assert lines[-1] == "12 worse; 1 unchanged"
    assert "opinfo-10" in render(diff(evidence(*before), evidence(*after), LIMITS), limit=None)


def test_rendering_nothing(record, evidence):
    assert render(diff(evidence(record()), evidence(record()), LIMITS)).endswith("no change; 1 unchanged")
