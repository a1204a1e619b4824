import dataclasses
import datetime

import pytest

from harness.evidence.vocabulary import HarnessError
from harness.publish.gate import by_class, gate
from harness.publish.policy import Action, Waiver, default_policy

A, B, C = "aten.a.default", "aten.b.default", "aten.c.default"
DEFAULT = default_policy()
UNTIL = datetime.date(2027, 1, 31)


def policy(*waivers, minimum=0.5, **actions):
    chosen = {**DEFAULT.actions, **{kind: Action(action) for kind, action in actions.items()}}
    return dataclasses.replace(DEFAULT, actions=chosen, waivers=waivers, minimum_compared=minimum)


def kinds(changes):
    return [change.kind for change in changes]


def test_equal_evidence_passes(record, evidence):
    verdict = gate(evidence(record(A), record(B)), evidence(record(A), record(B)), DEFAULT)
    assert verdict.passes
    assert verdict.findings == ()


def test_better_and_new_pass(record, evidence):
    verdict = gate(evidence(record(A, "convert_error")), evidence(record(A), record(B)), DEFAULT)
    assert verdict.passes
    assert kinds(f.change for f in verdict.findings) == ["better", "new"]


@pytest.mark.parametrize("action", list(Action))
def test_the_policy_says_what_a_class_comes_to(record, evidence, action):
    verdict = gate(evidence(record(A)), evidence(record(A, "wrong_value")), policy(worse=action))
    assert verdict.passes is (action is not Action.FAIL)
    assert kinds(verdict.regressions) == ["worse"] * (action is Action.FAIL)
    assert kinds(verdict.warnings) == ["worse"] * (action is Action.WARN)


def test_what_is_waived_fails_nothing_and_is_told(record, evidence):
    waiver = Waiver(UNTIL, "upstream", checks=("ops/aten.a*",))
    baseline, candidate = evidence(record(A), record(B)), evidence(record(A, "crash"), record(B))
    verdict = gate(baseline, candidate, policy(waiver))
    assert verdict.passes
    assert kinds(verdict.waived(waiver)) == ["crash"]
    assert verdict.unneeded == ()
    worse = evidence(record(A, "crash"), record(B, "crash"))
    assert [change.subject for change in gate(baseline, worse, policy(waiver)).regressions] == [B]


def test_a_waiver_that_is_no_longer_needed_is_told(record, evidence):
    waiver = Waiver(UNTIL, "upstream", checks=("ops/aten.a*",))
    verdict = gate(evidence(record(A)), evidence(record(A)), policy(waiver))
    assert verdict.passes
    assert verdict.unneeded == (waiver,)


def test_a_waiver_of_nothing_there_is_refused(record, evidence):
    waiver = Waiver(UNTIL, "upstream", checks=("ops/aten.z*",))
    with pytest.raises(HarnessError, match=r"waiver of ops/aten\.z\*: fits no check of either side"):
        gate(evidence(record(A)), evidence(record(A)), policy(waiver))


def test_too_little_in_common_is_refused(record, evidence):
    baseline = evidence(record(A), record(B), record(C))
    gate(baseline, evidence(record(A), record(B)), policy(minimum=0.6))
    with pytest.raises(HarnessError, match=r"judges 2 of the 3 checks .*minimum_compared = 0\.7"):
        gate(baseline, evidence(record(A), record(B)), policy(minimum=0.7))


def test_a_release_in_which_nothing_ran_does_not_pass(record, evidence):
    with pytest.raises(HarnessError, match="judges no check"):
        gate(evidence(record(A)), evidence(record(A, "not_run")), policy(minimum=0))


def test_one_environment_does_not_hide_that_another_ran_nothing(record, evidence, environments):
    there = {"environment": environments["mac"]}
    baseline = evidence(*(record(A, sample=n) for n in range(9)), record(A, **there))
    candidate = evidence(*(record(A, sample=n) for n in range(9)), record(A, "not_run", **there))
    with pytest.raises(HarnessError, match="judges 0 of the 1 checks that the baseline judged in macos15"):
        gate(baseline, candidate, policy(minimum=0))
    only = evidence(*(record(A, sample=n) for n in range(9)))
    assert kinds(gate(baseline, only, DEFAULT).regressions) == ["environment_gone"]


def test_by_class_in_the_order_of_the_table(record, evidence):
    verdict = gate(
        evidence(record(A), record(B, headroom=8.0), record(C)),
        evidence(record(A, "crash"), record(B, headroom=1.0), record(C)),
        DEFAULT,
    )
    assert list(by_class(verdict.regressions)) == ["crash", "headroom_lost"]


def test_what_the_policy_ignores_needs_no_waiver(record, evidence):
    waiver = Waiver(UNTIL, "upstream", checks=("ops/aten.a*",))
    baseline, candidate = evidence(record(A), record(B)), evidence(record(A, "crash"), record(B))
    verdict = gate(baseline, candidate, policy(waiver, crash="ignore"))
    assert verdict.waived(waiver) == []
    assert verdict.unneeded == (waiver,)
