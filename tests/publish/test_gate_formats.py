import dataclasses
import datetime
import json
from xml.etree import ElementTree

import pytest

from harness.publish.changes import CLASSES
from harness.publish.gate import gate
from harness.publish.gate_formats import FORMATS, render, result_line
from harness.publish.policy import Action, Waiver, default_policy

A, B, C = "aten.a.default", "aten.b.default", "aten.c.default"
WAIVER = Waiver(datetime.date(2027, 1, 31), "pull | request", checks=("ops/aten.c*",))


@pytest.fixture
def verdict(record, evidence):
    """A regression that came with markup, one that is warned of, one that is waived, and much that stays."""
    evil = "<script>alert(1)</script> | [x](y) \x00\x1b &amp;"
    before = [record(A, sample=n) for n in range(3)] + [record(B, timing={"lower": 9.0}), record(C)]
    after = [record(A, "wrong_value", n, reason=evil, cause="boom") for n in range(2)] + [record(A, sample=2)]
    after += [record(B, timing={"lower": 90.0}), record(C, "crash", reason="signal 11")]
    policy = dataclasses.replace(default_policy(), waivers=(WAIVER,))
    return gate(evidence(*before), evidence(*after), policy)


@pytest.fixture
def equal(record, evidence):
    return gate(evidence(record(A)), evidence(record(A)), default_policy())


@pytest.mark.parametrize("style", FORMATS)
def test_versions_and_what_was_compared_always_stand_there(equal, verdict, style):
    for one, count in ((equal, "1"), (verdict, "5")):
        text = render(one, style)
        assert "2.13.0" in text
        assert "1.5.1" in text
        assert count in text
        assert text == render(one, style)


def test_result_in_one_line(equal, verdict):
    assert result_line(equal) == "passes: nothing got worse"
    assert result_line(verdict) == (
        "fails: 2 checks, 1 operator got worse; 1 check, 1 operator waived; 1 check, 1 operator warned of"
    )
    ignoring = dataclasses.replace(verdict, findings=tuple(f for f in verdict.findings if not f.fails))
    assert result_line(ignoring).startswith("passes: nothing got worse that counts; 1 check")


def test_text(verdict):
    lines = render(verdict, "text", limit=1).splitlines()
    assert lines[2].startswith("compared:  5 of 5 checks")
    assert f"regression: worse: 2 checks, 1 operator; {CLASSES['worse']}" in lines
    assert "    and 1 more (--all shows them)" in lines
    assert any(line.startswith("warning: slower_lowering: 1 check") for line in lines)
    assert "waived until 2027-01-31: 1 check, 1 operator; pull | request" in lines
    assert lines[-1] == result_line(verdict)


def test_text_of_a_waiver_no_longer_needed(record, evidence):
    policy = dataclasses.replace(default_policy(), waivers=(WAIVER,))
    text = render(gate(evidence(record(C)), evidence(record(C)), policy), "text")
    assert "waiver no longer needed: ops/aten.c* (until 2027-01-31)" in text
    markdown = render(gate(evidence(record(C)), evidence(record(C)), policy), "markdown")
    assert "no longer needed" in markdown


def test_markdown_is_well_formed_whatever_a_message_holds(verdict):
    text = render(verdict, "markdown", limit=1)
    assert text.startswith("## Gate: fails: ")
    assert "<script>" not in text
    tables = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    assert len(tables) == 5
    for rows in tables:
        assert len({row.replace("\\|", "").count("|") for row in rows}) == 1
    assert "1 more: `--all` shows them." in text
    assert "opinfo-1@" in render(verdict, "markdown", limit=None)


def test_json_holds_everything(verdict):
    data = json.loads(render(verdict, "json", limit=1))
    assert data["passes"] is False
    (pair,) = data["environments"]
    assert (pair["judged"], pair["compared"], pair["unchanged"]) == (5, 5, 1)
    assert pair["candidate"]["versions"]["torch"] == "2.13.0"
    assert data["classes"]["worse"] == {"policy": "fail", "checks": 2, "failing": 2}
    assert data["classes"]["crash"]["failing"] == 0
    assert len(data["findings"]) == 4
    first = next(finding for finding in data["findings"] if finding["class"] == "worse")
    assert (first["before"], first["after"], first["cause"], first["operator"]) == ("pass", "wrong_value", "boom", A)
    (waived,) = (finding for finding in data["findings"] if "waived_until" in finding)
    assert waived["class"] == "crash"
    assert data["waivers"][0]["findings"] == 1


def test_junit_has_a_case_for_each_class_and_each_finding(verdict):
    root = ElementTree.fromstring(render(verdict, "junit"))
    (suite,) = root
    cases = suite.findall("testcase")
    judged = [kind for kind in CLASSES if default_policy().actions[kind] is not Action.IGNORE]
    assert [case.get("name") for case in cases if case.get("classname") == "gate"] == judged
    assert {k: suite.get(k) for k in ("tests", "failures", "skipped")} == {
        "tests": str(len(judged) + 4),
        "failures": "3",  # the class and its two checks
        "skipped": "1",
    }
    worse = [case for case in cases if case.get("classname") == "gate.worse"]
    properties = {p.get("name"): p.get("value") for p in worse[0].iter("property")}
    assert properties == {"before": "pass", "after": "wrong_value", "cause": "boom"}
    assert "<script>" in worse[0].find("failure").get("message")
    (skipped,) = suite.iter("skipped")
    assert skipped.get("message") == "waived until 2027-01-31: pull | request"
    assert [out.text.partition(":")[0] for out in suite.iter("system-out")] == ["warning"]


def test_junit_of_nothing_wrong(equal):
    root = ElementTree.fromstring(render(equal, "junit"))
    assert not list(root.iter("failure"))
    assert int(root[0].get("tests")) == len(root[0].findall("testcase")) > 10


def test_an_environment_that_is_gone_has_a_suite_of_its_own(record, evidence, environments):
    baseline = evidence(record(A), record(A, environment=environments["mac"]))
    root = ElementTree.fromstring(render(gate(baseline, evidence(record(A)), default_policy()), "junit"))
    assert [suite.get("name") for suite in root] == [
        f"gate {environments['linux']}",
        f"gate {environments['mac']}",
    ]
    assert [suite.get("failures") for suite in root] == ["0", "2"]
