from __future__ import annotations

from typing import Any

from harness.evidence.features import Feature, Pattern
from harness.publish.features_page import NO_EVIDENCE, features_context
from harness.publish.model import build_matrix

SOURCE = "https://example.org/page"


def context(evidence: Any, features: list[Feature], *records: Any) -> dict[str, Any]:
    return features_context(build_matrix(evidence(*records)), features)


def test_a_feature_shows_its_checks_outcomes_causes_and_a_failing_one(record: Any, evidence: Any) -> None:
    feature = Feature("iOS17", "Targets", "runs on iOS 17", SOURCE, (Pattern(recipe="fp16-ios17"),), causes=("other",))
    records = [
        record("aten.a.default", recipe="fp16-ios17"),
        record("aten.b.default", "convert_error", recipe="fp16-ios17", cause="boom"),
        record("aten.c.default"),
    ]
    found = context(evidence, [feature], *records)
    (group,) = found["groups"]
    assert group["title"] == "Targets"
    line = group["table"].splitlines()[-1]
    assert f"runs on iOS 17 ([source]({SOURCE}))" in line
    assert "| 2 | pass 1, convert_error 1 |" in line
    assert "[boom](findings.md#boom), `other`" in line
    assert "`ops/aten.b.default/float32/opinfo-0@fp16-ios17@reference`" in line
    assert (found["features"], found["checks"], found["missing"]) == ("1 feature", 2, "")


def test_a_feature_that_nothing_shows_says_so(record: Any, evidence: Any) -> None:
    feature = Feature("`state`", "g", "p", SOURCE, (Pattern(case="state/*"),), hardware="placement")
    found = context(evidence, [feature], record())
    assert found["missing"] == "`` `state` ``"
    assert NO_EVIDENCE in found["groups"][0]["table"]


def test_tests_and_hardware_prove_what_no_check_can(record: Any, evidence: Any) -> None:
    features = [
        Feature("tools", "g", "p", SOURCE, tests=("tests/commands/test_doctor.py",)),
        Feature("load", "g", "p", SOURCE, hardware="a phone"),
    ]
    found = context(evidence, features, record())
    tools, load = found["groups"][0]["table"].splitlines()[-2:]
    assert "[test_doctor.py](../tests/commands/test_doctor.py)" in tools
    assert "hardware only: a phone" in load
    assert (found["missing"], found["hardware"]) == ("", 1)
