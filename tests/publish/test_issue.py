import re

import pytest

from harness.evidence.causes import Cause, Script
from harness.evidence.vocabulary import HarnessError
from harness.publish.issue import find_cause, issue

GELU = "aten.gelu.default"


def cause(**fields):
    known = {
        "cause": "gelu-approximate-dropped",
        "title": "gelu ignores approximate",
        "stage": "converter",
        "sees": "Another gelu.",
        "explanation": "The converter reads positions only.",
        "source": "ops.py gelu",
        "condition": 'approximate="tanh"',
        "remedy": "Write it out.",
        "script": Script("    def forward(self, x):\n        return x", "(torch.ones(2),)"),
    }
    return Cause(**{**known, **fields})


@pytest.fixture
def written(record, evidence, tmp_path):
    """The text of an issue, of one check that fails by the cause."""

    def write(one, **fields):
        fields = {"cause": one.cause, "reason": "got 3, expected 4", **fields}
        found = evidence(record(GELU, "wrong_value", **fields), record(GELU, sample=1))
        return issue(one, found.records, found.environments, tmp_path)

    return write


def test_an_issue_holds_all_that_is_needed(written):
    text = written(cause(url="https://github.com/x/y/pull/1", state="merged"))
    for part in (
        "# gelu ignores approximate\n",
        "executorch 1.5.1, coremltools 9.0, torch 2.13.0",
        "class Module(torch.nn.Module):",
        "The result of eager PyTorch",
        "Another gelu.",
        "got 3, expected 4",
        "The converter reads positions only. Source: ops.py gelu.",
        'With: approximate="tanh". Seen in 1 check of `aten.gelu.default`.',
        "Write it out.",
        "https://github.com/x/y/pull/1 (merged)",
    ):
        assert part in text, part
    assert re.findall("^## (.*)", text, re.M) == [
        *("To reproduce", "Expected", "Actual", "Why", "When", "Way around", "Upstream")
    ]


def test_what_a_script_expects_is_expected(written):
    script = Script("    pass", "()", error="ValueError", expected="a program that lowers")
    assert "## Expected\n\nA program that lowers.\n" in written(cause(script=script))


def test_a_limitation_without_script_is_shown_by_a_call(written):
    limitation = cause(stage="limitation", script="")
    text = written(limitation, call="gelu(float32[2])", api=GELU)
    assert "return torch.ops.aten.gelu.default(x0)" in text
    with pytest.raises(HarnessError, match=r"nothing to file upstream: Another gelu\. .*`coreml-harness repro 'ops/"):
        written(limitation)


def test_a_script_written_by_hand_is_read_below_the_reports(written, tmp_path):
    own = cause(script="own")
    with pytest.raises(HarnessError, match=r"gelu-approximate-dropped\.py: cannot read"):
        written(own)
    (tmp_path / "findings").mkdir()
    (tmp_path / "findings/gelu-approximate-dropped.py").write_text("print('by hand')\n")
    assert "print('by hand')" in written(own)


def test_an_unknown_cause_is_answered_with_near_names():
    assert find_cause("gelu-approximate-dropped", [cause()]) == cause()
    with pytest.raises(HarnessError, match="do you mean gelu-approximate-dropped"):
        find_cause("gelu-aproximate", [cause()])
