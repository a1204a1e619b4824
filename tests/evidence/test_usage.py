import json

import pytest

from harness.evidence.check import Check, Subject
from harness.evidence.record import Record
from harness.evidence.usage import UNUSED, Usage
from harness.evidence.vocabulary import HarnessError, Kind, Outcome, Phase

TWICE = Usage(("bert", "vit"), 14)


def test_a_usage_comes_back_equal():
    assert Usage.from_json(json.loads(json.dumps(TWICE.to_json()))) == TWICE


def test_what_no_model_calls_is_false():
    assert TWICE
    assert not UNUSED


def test_a_case_tells_its_records():
    case = Subject(id="a/b/c/d", kind=Kind.OPERATOR, op="", api="", dtype="", origin="extracted", usage=TWICE)
    record = Record.of(Check.of(case, "fp16-ios18", "reference"), Outcome.PASS, Phase.VALUE)
    assert record.usage == TWICE
    assert json.loads(record.to_line())["usage"] == {"calls": 14, "models": ["bert", "vit"]}
    assert "usage" not in record.with_(usage=UNUSED).to_json()


@pytest.mark.parametrize(
    "wrong",
    [[], {}, {"models": ["a"]}, {"models": "ab", "calls": 1}, {"models": [1], "calls": 1}]
    + [{"models": ["a"], "calls": "1"}, {"models": ["a"], "calls": True}, {"models": ["a"], "calls": 1, "more": 1}],
)
def test_what_is_no_usage_is_refused(wrong):
    with pytest.raises(HarnessError, match="usage"):
        Usage.from_json(wrong)
